"""What the driver of NVIDIA's GPUs says about memory, asked by its own library.

All that knows NVML is here and in gpus.py, which asks before a service forks. Tests give a
recorded library in place of `pynvml`.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol


class Driver(Protocol):
    """What is read from a driver."""

    def process_bytes(self, uuid: str, pid: int) -> int | None:
        """Memory that a process holds on a GPU, context and libraries included; None: not known."""

    def free_bytes(self, uuid: str) -> int | None:
        """Free memory of a GPU; None: not known."""


class Nvml:
    """The driver by the package nvidia-ml-py. What it does not answer is not known.

    In a container with process numbers of its own the driver names those of the host: a process
    then does not find itself.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = library or _library()
        self._is_open = False

    def process_bytes(self, uuid: str, pid: int) -> int | None:
        """Of all processes that compute on the GPU the one with this number."""
        processes = self._call("nvmlDeviceGetComputeRunningProcesses", uuid) or ()
        sizes = [process.usedGpuMemory for process in processes if process.pid == pid]
        return None if not sizes or sizes[0] is None else int(sizes[0])

    def free_bytes(self, uuid: str) -> int | None:
        """Whoever holds the rest, this fleet or others."""
        info = self._call("nvmlDeviceGetMemoryInfo", uuid)
        return None if info is None else int(info.free)

    def _call(self, function: str, uuid: str) -> Any:
        library = self._library
        if library is None:
            return None
        try:
            if not self._is_open:
                library.nvmlInit()
                self._is_open = True
            return getattr(library, function)(library.nvmlDeviceGetHandleByUUID(uuid))
        except library.NVMLError:
            return None


def _library() -> Any:
    try:
        return importlib.import_module("pynvml")
    except ImportError:  # it comes with the extra `gpu`
        return None
