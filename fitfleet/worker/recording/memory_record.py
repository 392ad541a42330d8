"""The memory that the jobs of a child need, from the start of their session to their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fitfleet.db.attempts.memory import Measurement
from fitfleet.spec.memory import FitKind, fit_kind
from fitfleet.worker.control import JobControl
from fitfleet.worker.process.memory import micro_batch

if TYPE_CHECKING:
    from fitfleet.worker.prepared_job import PreparedJob
    from fitfleet.worker.process.memory_meter import Meter


class MemoryRecord:
    """Keeps which jobs are trained at once, and by which engine, for their measurement."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._engine = ""
        self._kinds: dict[tuple[int, int], FitKind] = {}  # by JobControl.key

    def begin(self, engine: str, jobs: Sequence[PreparedJob]) -> None:
        """Start measuring for these jobs."""
        self._engine = engine
        self._kinds = {job.control.key: _kind_of(job) for job in jobs}
        self._meter.reset()

    def measured(self, control: JobControl) -> Measurement | None:
        """Memory used so far; None for a job that has not begun, or without a measurement."""
        return self._figure(control, is_bound=False)

    def bound(self, control: JobControl) -> Measurement | None:
        """The same for a job that ran out of memory, as a lower bound of its need."""
        return self._figure(control, is_bound=True)

    def _figure(self, control: JobControl, *, is_bound: bool) -> Measurement | None:
        kind, peak = self._kinds.get(control.key), self._meter.peak()
        if kind is None or peak is None:
            return None
        return Measurement(
            kind,
            self._engine,
            len(self._kinds),
            self._meter.device,
            peak.size_bytes,
            peak.framework_bytes,
            peak.driver_bytes,
            is_bound=is_bound,
        )


def _kind_of(job: PreparedJob) -> FitKind:
    batch_size, _ = micro_batch(job.spec, job.options, job.claim.memory_step)
    return fit_kind(job.spec, job.claim.fingerprint, batch_size)
