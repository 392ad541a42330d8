"""The requirements of a job, and whether the labels of a slot satisfy them.

Labels are a mapping of name to text: `gpu` (the model, as its driver names it), `gpu_memory` and
`memory` (sizes: what one slot may use) are measured, all others are set by an admin.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fitfleet.errors import FitfleetError, SettingsError, SpecError
from fitfleet.spec.job import JobOptions
from fitfleet.spec.json_text import canonical_json
from fitfleet.spec.sizes import size_bytes

Labels = Mapping[str, str]

_MEMORIES = ("gpu_memory", "memory")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_VALUE = re.compile(r"[A-Za-z0-9_.+/-](?:[A-Za-z0-9_.+/ -]{0,62}[A-Za-z0-9_.+/-])?")
_MAX_LABELS = 16
_LABEL_STEP = 10**8  # the most bytes by which a label is rounded down


def job_labels(value: Any) -> dict[str, str]:
    """The labels in `requires` of a job. Raises SpecError for an invalid label."""
    if not isinstance(value, Mapping):
        raise SpecError("requires", f'{value!r:.60} is not a mapping such as {{"gpu": "H100"}}')
    return _checked(value.items(), lambda place, why: SpecError(f"requires{place}", why))


def worker_labels(pairs: Iterable[str]) -> dict[str, str]:
    """Labels from texts `name=value`. Raises SettingsError for an invalid label."""
    split = [(name.strip(), value.strip()) for name, _, value in (p.partition("=") for p in pairs)]
    labels = _checked(split, lambda _, why: SettingsError(f"labels: {why}"), memories=True)
    for name in labels.keys() & set(_MEMORIES):
        if size_bytes(labels[name]) is None:
            raise SettingsError(f"labels: {name}={labels[name]} is not a size such as 6GB")
    return labels


def _checked(
    pairs: Iterable[tuple[Any, Any]],
    error: Callable[[str, str], FitfleetError],
    memories: bool = False,
) -> dict[str, str]:
    labels: dict[str, str] = {}
    for name, value in pairs:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            why = f"{name!r:.60} is not a label name: a letter, then letters, digits and _.-"
            raise error("", why)
        if name in _MEMORIES and not memories:
            raise error(f".{name}", f"is a size, an argument of its own: {name}='6GB'")
        if not (isinstance(text, str) and _VALUE.fullmatch(text)):
            why = f"{value!r:.60} is not a label value: up to 64 letters, digits, blanks and _.+/-"
            raise error(f".{name}", f"{name}: {why}" if memories else why)
        labels[name] = text
    if len(labels) > _MAX_LABELS:
        raise error("", f"{len(labels)} labels are given; at most {_MAX_LABELS} are taken")
    return labels


def requirements_of(options: JobOptions) -> str:
    """The requirements of a job as canonical JSON; empty if it has none."""
    requirements = {
        "requires": options.requires,
        "gpus": options.gpus,
        "gpu_memory": size_bytes(options.gpu_memory),
        "memory": size_bytes(options.memory),
    }
    needed = {name: value for name, value in requirements.items() if value}
    return canonical_json(needed) if needed else ""


def memory_label(device: str) -> str:
    """The label for the memory of a device, by the device's name in records."""
    return "gpu_memory" if device.startswith("gpu") else "memory"


def with_measured(requirements: str, label: str, size_bytes: int) -> str:
    """The requirements, with the measured memory if the job states none."""
    labels = json.loads(requirements or "{}")
    measured = {**labels.get("measured", {}), label: size_bytes}
    return canonical_json({**labels, "measured": measured})


def measured_memory(requirements: str) -> dict[str, int]:
    """Label -> measured bytes, if the job states none."""
    return dict(json.loads(requirements or "{}").get("measured", {}))


def missing(requirements: str, labels: Labels) -> list[str]:
    """The requirements that these labels do not satisfy, as `gpu=H100`; empty if the job fits."""
    required = json.loads(requirements or "{}")
    lacking = [
        f"{name}={value}"
        for name, value in required.get("requires", {}).items()
        if not _has(labels, name, value)
    ]
    if required.get("gpus", 0) > gpu_count(labels):
        lacking.append(f"gpus={required['gpus']}")
    for name in _MEMORIES:
        needed = required.get(name, 0)
        if needed > (size_bytes(labels.get(name)) or 0):
            lacking.append(f"{name}={needed / 1e9:g}GB")
    for name, needed in sorted(required.get("measured", {}).items()):
        # A slot without the label has no such device; the job then has other requirements.
        if name in labels and needed > (size_bytes(labels[name]) or 0) + _LABEL_STEP:
            lacking.append(f"{name}={needed / 1e9:.1f}GB (measured)")
    return lacking


def gpus_of(requirements: str) -> int:
    """The number of GPUs that train a job; 1 without a requirement."""
    return int(json.loads(requirements or "{}").get("gpus", 1))


def gpu_count(labels: Labels) -> int:
    """The number of GPUs of a slot's service: the label `gpus`, by default 1."""
    label = labels.get("gpus", "1")
    return int(label) if "gpu_memory" in labels and label.isdecimal() else 0


def _has(labels: Labels, name: str, value: str) -> bool:
    """Whether a label satisfies a requirement; for `gpu` consecutive words of the label suffice."""
    there = labels.get(name)
    if there is None:
        return False
    if name != "gpu":
        return there == value
    return f" {value.lower()} " in f" {there.lower()} "


def route_of(queue: str, labels: Labels) -> str:
    """The Celery queue of all slots of a queue that have these labels; empty without labels."""
    if not labels:
        return ""
    text = json.dumps(dict(labels), sort_keys=True)
    return f"{queue}/labels/{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def service_route(queue: str, service: str) -> str:
    """The Celery queue of one service, for messages about slots that are reserved for a job."""
    return f"{queue}/service/{hashlib.sha256(service.encode()).hexdigest()[:12]}"


def shared_labels(slots: Iterable[Labels]) -> dict[str, str]:
    """The labels of all slots of a service, as any may run a message: the smallest memory."""
    every = list(slots)
    names = set.intersection(*(set(labels) for labels in every))
    shared = {}
    for name in sorted(names):
        values = [labels[name] for labels in every]
        if name in _MEMORIES:
            shared[name] = min(values, key=lambda value: size_bytes(value) or 0)
        elif len(set(values)) == 1:
            shared[name] = values[0]
    return shared
