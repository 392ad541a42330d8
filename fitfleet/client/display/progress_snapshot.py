"""The state of a set of jobs at one moment, for a display to draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fitfleet.client.wait_reasons import going_first, unserved
from fitfleet.db.fleet import capacity
from fitfleet.db.reading import lookup, progress
from fitfleet.db.reading.attempts import attempt_starts
from fitfleet.db.reading.progress import Count
from fitfleet.db.session import Connection, Database, read_clock
from fitfleet.states import JobStatus

_SHOWN = 200


@dataclass(frozen=True)
class RunningJob:
    """One line of the display."""

    id: int
    experiment: str
    params: dict[str, Any]
    epoch: int
    epochs: int
    seed: int
    fold: int | None
    last: dict[str, float | None]  # values of the last epoch by Keras's names
    worker: str
    seconds_left: float | None


@dataclass(frozen=True)
class Snapshot:
    """Counts of all jobs that are waited for, and those that run."""

    counts: dict[JobStatus, int]
    epochs_done: int
    epochs: int
    running: list[RunningJob]  # of many the first
    slots: int  # worker slots that are alive in the whole fleet
    paused: list[str]  # paused experiments that hold some of the jobs back
    obstacles: tuple[str, ...] = ()  # sentences: why none of them runs yet

    @property
    def jobs(self) -> int:
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        return sum(count for status, count in self.counts.items() if status.is_terminal)


def take(database: Database, job_ids: Sequence[int], alive_s: float) -> Snapshot:
    """The state of these jobs, in one read transaction.

    Workers silent for more than `alive_s` seconds (lease_s) count as gone.
    """
    with database.read() as c:
        counted = progress.counts(c, job_ids)
        ids = progress.of_status(c, job_ids, JobStatus.RUNNING, _SHOWN)
        rows = lookup.jobs_by_id(c, ids)
        starts = attempt_starts(c, ids)
        points = lookup.kept_points(c, ids)
        now = read_clock(c)
        slots = capacity.count_live_slots(c, alive_s)
        paused = lookup.paused_experiments(c)
        obstacles = (
            ()
            if ids
            else (*_unserved(c, counted, alive_s), *going_first(c, counted, job_ids, alive_s))
        )
    counts: Counter[JobStatus] = Counter()
    for count in counted:
        counts[count.status] += count.count
    last: dict[int, dict[str, float | None]] = {}
    for point in points:
        last.setdefault(point.job_id, {})[point.name] = point.value
    waiting = {count.experiment for count in counted if count.status is JobStatus.QUEUED}
    return Snapshot(
        counts=dict(counts),
        epochs_done=sum(count.epochs_done for count in counted),
        epochs=sum(count.epochs for count in counted),
        running=[
            RunningJob(
                id=row.id,
                experiment=row.experiment,
                params=row.params,
                epoch=row.epoch,
                epochs=row.epochs,
                seed=row.seed,
                fold=row.fold,
                last=last.get(row.id, {}),
                worker=row.worker_name or row.owner or "",
                seconds_left=_seconds_left(row, starts.get(row.id), now),
            )
            for row in rows
            if row.id in starts
        ],
        slots=slots,
        paused=sorted(waiting & paused),
        obstacles=obstacles,
    )


def outcome(
    database: Database, job_ids: Sequence[int], failures: int
) -> tuple[dict[JobStatus, int], list[lookup.JobRow]]:
    """The number of these jobs by status, and the first `failures` that failed."""
    counts: Counter[JobStatus] = Counter()
    with database.read() as c:
        for count in progress.counts(c, job_ids):
            counts[count.status] += count.count
        failed = progress.of_status(c, job_ids, JobStatus.FAILED, failures)
        return dict(counts), lookup.jobs_by_id(c, failed)


def _unserved(c: Connection, counted: Sequence[Count], alive_s: float) -> list[str]:
    return unserved(c, {count.queue for count in counted if not count.status.is_terminal}, alive_s)


def _seconds_left(
    row: lookup.JobRow, start: tuple[float, int | None] | None, now: float
) -> float | None:
    """By the mean time of the epochs of this attempt; None before its first."""
    if start is None or start[1] is None or row.epoch <= start[1]:
        return None
    return (row.epochs - row.epoch) * (now - start[0]) / (row.epoch - start[1])
