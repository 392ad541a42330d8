"""A job made ready to be trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from fitfleet.data.arrays import Arrays
from fitfleet.db.attempts.claims import Claim
from fitfleet.spec.adapted_layers import States
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.worker.control import JobControl
from fitfleet.worker.state.checkpoint import Snapshot


@dataclass(frozen=True, eq=False)
class PreparedJob:
    """All that training a job needs. It is immutable; changing state is in `control`."""

    control: JobControl
    spec: JobSpec
    options: JobOptions
    arrays: Arrays  # x, y, sample_weight, *_val, *_test; validation split and fold applied
    snapshot: Snapshot | None = None  # checkpoint to resume from; None: from the start
    restart: str = ""  # why it starts over although it has a checkpoint
    # What `adapt` found, which is in `spec` already; the files of the job carry it.
    adapted: States = field(default_factory=dict)

    @property
    def claim(self) -> Claim:
        """What fences every write for it."""
        return self.control.claim

    @property
    def first_epoch(self) -> int:
        """Epoch to start with, counted from 0."""
        return self.snapshot.epoch if self.snapshot else self.spec.initial_epoch

    @property
    def is_out_of_time(self) -> bool:
        """Whether its earlier attempts have used up its `stop_after`."""
        limit = self.spec.stop_after
        return limit is not None and self.first_epoch > 0 and self._trained_s >= limit

    @property
    def _trained_s(self) -> float:
        return self.snapshot.trained_s if self.snapshot else 0.0

    @property
    def is_trained(self) -> bool:
        """Whether no epoch is left to train; only the end of the fit and the evaluation are."""
        has_stopped = bool(self.snapshot and self.snapshot.has_stopped)
        return has_stopped or self.is_out_of_time or self.first_epoch >= self.spec.epochs
