"""How a set of jobs stands at one moment, for a display to draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fitfleet.client.waiting import going_first, unserved
from fitfleet.db import capacity, lookup
from fitfleet.db.attempts import attempt_starts
from fitfleet.db.session import Connection, Database, read_clock
from fitfleet.states import JobStatus


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
    running: list[RunningJob]
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
        rows = lookup.jobs_by_id(c, job_ids)
        ids = [row.id for row in rows if row.status is JobStatus.RUNNING]
        starts = attempt_starts(c, ids)
        points = lookup.kept_points(c, ids)
        now = read_clock(c)
        slots = capacity.count_live_slots(c, alive_s)
        paused = lookup.paused_experiments(c)
        obstacles = () if ids else (*_unserved(c, rows, alive_s), *going_first(c, rows))
    last: dict[int, dict[str, float | None]] = {}
    for point in points:
        last.setdefault(point.job_id, {})[point.name] = point.value
    waiting = {row.experiment for row in rows if row.status is JobStatus.QUEUED}
    return Snapshot(
        counts=dict(Counter(row.status for row in rows)),
        # A job that stopped early has no epochs left to do.
        epochs_done=sum(row.epochs if row.status.is_terminal else row.epoch for row in rows),
        epochs=sum(row.epochs for row in rows),
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


def _unserved(c: Connection, rows: Sequence[lookup.JobRow], alive_s: float) -> list[str]:
    return unserved(c, {row.queue for row in rows if not row.status.is_terminal}, alive_s)


def _seconds_left(
    row: lookup.JobRow, start: tuple[float, int | None] | None, now: float
) -> float | None:
    """By the mean time of the epochs of this attempt; None before its first."""
    if start is None or start[1] is None or row.epoch <= start[1]:
        return None
    return (row.epochs - row.epoch) * (now - start[0]) / (row.epoch - start[1])
