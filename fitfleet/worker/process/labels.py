"""The labels of a service's slots: what its host has, measured, and what its admin says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fitfleet.settings import Settings
from fitfleet.spec.requirements import shared_labels, worker_labels
from fitfleet.spec.sizes import size_label
from fitfleet.worker.process.gpus import Gpu

_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def service_labels(settings: Settings, gpus: Sequence[Gpu]) -> dict[str, str]:
    """`memory`, with GPUs `gpu` and `gpu_memory`, and the setting `labels`, which goes before.

    A slot may use its share of the host and of its card. Any slot of the service may get a job, so
    with unlike cards it is the least memory, and no model. SettingsError for what is no label.
    """
    per_card = -(-settings.slots // len(gpus)) if gpus else 1
    cards = [
        {"gpu": _model(gpu), "gpu_memory": size_label(gpu.memory_bytes // per_card)} for gpu in gpus
    ]
    measured = {"memory": size_label(host_memory_bytes() // settings.slots)}
    measured |= shared_labels(cards) if cards else {}
    return measured | worker_labels(settings.labels)


def _model(gpu: Gpu) -> str:
    return " ".join(gpu.name.split())[:64]


def host_memory_bytes() -> int:
    """The memory of this host, or of its container if that has a limit."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no container, or `max`
        return min(whole, int(_CONTAINER.read_text()))
    return whole
