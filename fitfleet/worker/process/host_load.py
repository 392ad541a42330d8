"""The load of a worker service's host, sent with its heartbeat."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import psutil

from fitfleet.errors import SettingsError
from fitfleet.worker.process.gpus import Gpu, read_gpus

# Asking the driver starts a process.
_GPUS_S = 10.0


class LoadMeter:
    """Measures between one call and the next."""

    def __init__(self, gpus: str) -> None:
        self._uuids = {part.strip() for part in gpus.split(",") if part.strip()}
        self._gpus: list[Gpu] = []
        self._asked_at = float("-inf")
        psutil.cpu_percent()  # the first call begins the interval

    def read(self) -> dict[str, Any]:
        """`cpu_percent` of the host, `memory_bytes` of the service and its children.

        With GPUs also `gpu_percent`, their mean, and `gpu_memory_bytes`, their sum.
        """
        load: dict[str, Any] = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_bytes": _memory_bytes(),
        }
        gpus = self._read_gpus() if self._uuids else []
        if gpus:
            load["gpu_percent"] = sum(gpu.busy_percent for gpu in gpus) / len(gpus)
            load["gpu_memory_bytes"] = sum(gpu.used_bytes for gpu in gpus)
        return load

    def _read_gpus(self) -> list[Gpu]:
        if time.monotonic() - self._asked_at > _GPUS_S:
            self._asked_at = time.monotonic()
            with suppress(SettingsError):  # a driver that does not answer now
                self._gpus = [gpu for gpu in read_gpus() if gpu.uuid in self._uuids]
        return self._gpus


def _memory_bytes() -> int:
    service = psutil.Process()
    total = 0
    for process in (service, *service.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended
            total += _share_bytes(process)
    return total


def _share_bytes(process: psutil.Process) -> int:
    """What a process holds, of pages that it shares with others its part: forks share most."""
    with suppress(psutil.AccessDenied):  # such as in a container without ptrace
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.rss))
    return int(process.memory_info().rss)
