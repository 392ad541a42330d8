"""Which GPUs a host has, as its driver says, and which of them a worker service uses.

Nothing here touches a GPU: a parent that did could not be forked. The driver is asked by its own
command, `nvidia-smi`, whose answers the tests have recorded.
"""

from __future__ import annotations

import csv
import subprocess
from dataclasses import dataclass

import psutil

from fitfleet.errors import SettingsError
from fitfleet.worker.process.device import SIMULATED

_SIMULATED = "simulated:"
_QUERY = "index,uuid,name,memory.total,memory.used,utilization.gpu"
_DRIVER_S = 30.0
_MIB = 2**20


@dataclass(frozen=True)
class Gpu:
    """A GPU of this host as its driver sees it."""

    index: str
    uuid: str
    name: str
    memory_bytes: int
    used_bytes: int
    busy_percent: int


def read_gpus() -> list[Gpu]:
    """The GPUs of this host. SettingsError without a driver, or if it does not answer."""
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DRIVER_S, check=True
        )
    except FileNotFoundError:
        raise SettingsError(
            "gpus: this host has no NVIDIA driver (nvidia-smi was not found); install it, or start"
            " the worker without --gpus to train on the CPU"
        ) from None
    except subprocess.SubprocessError as error:
        reason = str(getattr(error, "stdout", "") or error).strip().splitlines()[0]
        raise SettingsError(f"gpus: the NVIDIA driver does not answer: {reason}") from None
    return [_gpu(row) for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True)]


def _gpu(row: list[str]) -> Gpu:
    index, uuid, name, total, used, busy = row
    return Gpu(index, uuid, name, _number(total) * _MIB, _number(used) * _MIB, _number(busy))


def _number(text: str) -> int:
    """0 for a value that the driver reports as [N/A]."""
    return int(text) if text.isdigit() else 0


def chosen_gpus(requested: str, visible: str | None) -> list[Gpu]:
    """The GPUs that `requested` names: `all`, or indices or UUIDs with commas between.

    `simulated:2` is the CPU in place of two GPUs, to rehearse what several do without one.
    `visible` is CUDA_VISIBLE_DEVICES of the service, which limits `all`; None: not set.
    SettingsError names what is not there, and what is.
    """
    if requested.startswith(_SIMULATED):
        return _simulated(requested)
    present = read_gpus()
    names = visible if requested.strip() == "all" else requested
    if names is None:
        chosen = present
    else:
        chosen = [_named(name.strip(), present) for name in names.split(",") if name.strip()]
    if not chosen:
        raise SettingsError(
            f"gpus: {requested!r} leaves no GPU on this host (CUDA_VISIBLE_DEVICES is"
            f" {visible!r}); start the worker without --gpus to train on the CPU"
        )
    return chosen


def _simulated(requested: str) -> list[Gpu]:
    count = requested.removeprefix(_SIMULATED)
    if not count.isdecimal() or not 1 <= int(count) <= 16:
        raise SettingsError(f"gpus: {requested!r} is not a number of simulated GPUs: simulated:2")
    share = psutil.virtual_memory().total // int(count)
    return [Gpu(str(i), f"{SIMULATED}{i}", "simulated", share, 0, 0) for i in range(int(count))]


def _named(name: str, present: list[Gpu]) -> Gpu:
    for gpu in present:
        if name == gpu.index or (name and gpu.uuid.startswith(name)):
            return gpu
    there = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in present) or "none"
    raise SettingsError(f"gpus: this host has no GPU {name!r}; there are: {there}")
