"""The memory that a fit needs, predicted from measurements of similar fits.

Fits of one kind are equal in all that decides their memory. Those of one architecture differ in
batch size and cohort: their memory is modelled as linear in the rows of a step.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from fitfleet.spec import tunable_scalars
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.spec.json_text import canonical_json

# Reserve above the largest measurement.
_MARGIN = 10  # a tenth
_CLASSES_PER_OCTAVE = 4
_PARTS = {
    *("model", "dataset", "loss", "metrics", "weighted_metrics", "class_weight", "freeze"),
    *("jit_compile", "steps_per_execution", "validation_split", "validation_batch_size"),
}


@dataclass(frozen=True, order=True)
class FitKind:
    """All that decides the memory of a fit, except the device and its cohort."""

    architecture: str  # hash of the model, its data and how it is compiled
    batch_size: int
    dtype: str  # of the policy, e.g. float32
    optimizer: str  # its class


@dataclass(frozen=True)
class MemoryPoint:
    """The memory that fits of one architecture, dtype and optimizer needed, by rows of a step."""

    batch_size: int
    cohort: int  # jobs trained at once
    peak_bytes: int  # the largest of completed fits; 0: none was completed
    bound_bytes: int = 0  # the largest of fits that ran out of memory; 0: none did

    @property
    def rows(self) -> int:
        """Rows that one step trains."""
        return self.batch_size * self.cohort


@dataclass(frozen=True)
class Need:
    """Memory that a fit is predicted to need."""

    size_bytes: int  # with the reserve
    least_bytes: int  # without it
    is_measured: bool  # of this kind; False: extrapolated from others


def fit_kind(spec: JobSpec, fingerprint: str | None, batch_size: int | None = None) -> FitKind:
    """The kind of a job; `batch_size` if it is trained in smaller batches than its spec says."""
    document = spec.model_dump(mode="json", include=_PARTS)
    document["model"]["config"], _ = tunable_scalars.separated(spec)
    document["dataset"]["fold"] = None
    if fingerprint is not None:
        document["dataset"] |= {"path": fingerprint, "files": sorted(document["dataset"]["files"])}
    if spec.task is not None:
        document["task"] = spec.task.kind
        if spec.task.members:
            document["members"] = len(spec.task.members)
    text = canonical_json(document)
    return FitKind(
        hashlib.sha256(text.encode()).hexdigest(),
        batch_size or spec.batch_size,
        spec.dtype_policy or "float32",
        str(spec.optimizer.get("class_name"))[:64],
    )


def micro_batch(spec: JobSpec, options: JobOptions, memory_step: int) -> tuple[int, int | None]:
    """Batch size and gradient accumulation at a fallback level after an OOM.

    Level 1 only runs the job alone. Above it the batch is halved each time and the gradients of
    the halves are accumulated, if the job's `shrink_on_oom` allows: BatchNorm and the count of
    optimizer steps then differ, so it is no longer the same fit to the bit.
    """
    halvings = max(0, memory_step - 1) if options.shrink_on_oom else 0
    factor = min(2**halvings, spec.batch_size)
    if factor == 1:
        return spec.batch_size, None
    return max(1, spec.batch_size // factor), (spec.gradient_accumulation_steps or 1) * factor


def can_shrink(spec: JobSpec, options: JobOptions, memory_step: int) -> bool:
    """Whether the next level has smaller batches than this one."""
    size, _ = micro_batch(spec, options, memory_step)
    return micro_batch(spec, options, memory_step + 1)[0] < size


def predict(points: Sequence[MemoryPoint], batch_size: int, cohort: int = 1) -> Need | None:
    """The predicted need of a fit; None without measurements: it then runs alone, and is measured.

    For a measured kind: the largest measurement and the reserve. Else a line through those of the
    architecture (least squares over the rows of a step), at least the measurement of fewer rows;
    with a single measurement, that one, for fewer rows. If fits of no more rows ran out of memory
    and none of as many rows completed, more than they had.
    """
    rows = batch_size * cohort
    peaks = [p.peak_bytes for p in points if (p.batch_size, p.cohort) == (batch_size, cohort)]
    peak = max(peaks, default=0)
    if peak:
        return Need(_with_margin(peak), peak, is_measured=True)
    measured = [(p.rows, p.peak_bytes) for p in points if p.peak_bytes]
    bound = max((p.bound_bytes + 1 for p in points if p.bound_bytes and p.rows <= rows), default=0)
    smaller = max((size for at, size in measured if at <= rows), default=0)
    expected = max(_on_line(measured, rows) or 0, bound)
    if not expected:
        return None
    return Need(_with_margin(expected), max(smaller, bound), is_measured=False)


def _with_margin(size_bytes: int) -> int:
    return size_bytes + size_bytes // _MARGIN


def _on_line(measured: Sequence[tuple[int, int]], rows: int) -> int | None:
    """The value of the line at `rows`; None if only one smaller number of rows was measured."""
    smaller = max((size for at, size in measured if at <= rows), default=0)
    larger = [size for at, size in measured if at >= rows]
    if len({at for at, _ in measured}) < 2:
        return max(larger, default=None)
    mean_rows = sum(at for at, _ in measured) / len(measured)
    mean_size = sum(size for _, size in measured) / len(measured)
    square = sum((at - mean_rows) ** 2 for at, _ in measured)
    slope = sum((at - mean_rows) * (size - mean_size) for at, size in measured) / square
    return max(math.ceil(mean_size + max(0.0, slope) * (rows - mean_rows)), smaller)


def size_class(size_bytes: int) -> int:
    """The bytes rounded up to a size class, of which there are four for each power of 2.

    So the dispatcher treats needs that differ little as equal.
    """
    step = math.floor(_CLASSES_PER_OCTAVE * math.log2(max(1, size_bytes)))
    classes = (math.ceil(2 ** ((step + n) / _CLASSES_PER_OCTAVE)) for n in range(-1, 3))
    return next(size for size in classes if size >= size_bytes)
