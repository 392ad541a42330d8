"""The labels of a service's slots: what its host has, measured, and what its admin says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fitfleet.errors import SettingsError
from fitfleet.settings import Settings
from fitfleet.spec.requirements import (
    route_of,
    service_route,
    shared_labels,
    worker_labels,
)
from fitfleet.spec.sizes import size_label
from fitfleet.worker.process.gpus import Gpu
from fitfleet.worker.process.memory_meter import IDLE_BYTES

_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def service_labels(settings: Settings, gpus: Sequence[Gpu]) -> dict[str, str]:
    """`memory`, with GPUs `gpu`, `gpu_memory` and `gpus`, and the setting `labels` before them.

    A slot may use its share of the host, or all that is watched there, and what is watched of its
    card. Any slot of the service may get a job, so with unlike cards it is the least memory, and
    no model. SettingsError for what is no label.
    """
    cards = [
        {"gpu": _model(gpu), "gpu_memory": size_label(card_bytes(settings, gpu, len(gpus)))}
        for gpu in gpus
    ]
    share = host_memory_bytes() // settings.slots
    measured = {"memory": size_label(settings.memory_limit_bytes or share)}
    measured |= shared_labels(cards) if cards else {}
    if len(cards) > 1:
        measured["gpus"] = str(len(cards))
    return measured | worker_labels(settings.labels)


def queues_of(settings: Settings, labels: Mapping[str, str], service: str, gpus: int) -> list[str]:
    """What it reads: with several GPUs also what wakes slots that are kept for a job."""
    queues = [settings.queue, route_of(settings.queue, labels)]
    return [*queues, service_route(settings.queue, service)] if gpus > 1 else queues


def device_bytes(settings: Settings, gpus: Sequence[Gpu]) -> list[int | None]:
    """What fits may use together of the device of each slot; None: it is not watched."""
    if not gpus:
        return [settings.memory_limit_bytes or None] * settings.slots
    sizes = [card_bytes(settings, gpu, len(gpus)) for gpu in gpus]
    return [sizes[slot % len(gpus)] for slot in range(settings.slots)]


def card_bytes(settings: Settings, gpu: Gpu, count: int) -> int:
    """Of a card: less what stays free, and what idle processes of its other slots may keep.

    SettingsError if nothing is left.
    """
    others = -(-settings.slots // count) - 1
    left = gpu.memory_bytes - settings.min_free_gpu_bytes - others * IDLE_BYTES
    if left <= 0:
        raise SettingsError(
            f"gpus: GPU {gpu.index} ({gpu.name}) has {size_label(gpu.memory_bytes)}, of which"
            f" nothing is left with min_free_gpu_bytes={settings.min_free_gpu_bytes} and"
            f" {others + 1} slots on it; give it less of either"
        )
    return left


def _model(gpu: Gpu) -> str:
    return " ".join(gpu.name.split())[:64]


def host_memory_bytes() -> int:
    """The memory of this host, or of its container if that has a limit."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no container, or `max`
        return min(whole, int(_CONTAINER.read_text()))
    return whole
