"""The progress of a set of jobs, counted by the database, however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from fitfleet.db.dialect import chunks
from fitfleet.db.schema.tables import experiments, jobs
from fitfleet.states import TERMINAL, JobStatus

# From this many consecutive numbers on, the query has a range instead of a list.
_RANGE = 100
_RANGE_ROWS = 50_000


@dataclass(frozen=True)
class Count:
    """The jobs that have all this in common."""

    experiment: str
    queue: str
    status: JobStatus
    count: int
    epochs: int  # asked for, all together
    epochs_done: int  # a job that has ended has none left


def among(column: sa.Column[Any], ids: Iterable[int]) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions that hold for these numbers only, each for a bounded part of them.

    What was submitted together has consecutive numbers: a range of them is one comparison.
    """
    single: list[int] = []
    for low, high in _runs(sorted(set(ids))):
        if high - low < _RANGE:
            single += range(low, high + 1)
            continue
        for start in range(low, high + 1, _RANGE_ROWS):
            yield column.between(start, min(high, start + _RANGE_ROWS - 1))
    for chunk in chunks(single):
        yield column.in_(chunk)


def _runs(ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    first = 0
    for i in range(1, len(ids) + 1):
        if i == len(ids) or ids[i] != ids[i - 1] + 1:
            yield ids[first], ids[i - 1]
            first = i


def counts(c: Connection, job_ids: Iterable[int]) -> list[Count]:
    """These jobs, counted by experiment, queue and status."""
    has_ended = jobs.c.status.in_(sorted(TERMINAL))
    done = func.sum(sa.case((has_ended, jobs.c.epochs), else_=jobs.c.epoch))
    kinds = (jobs.c.experiment_id, jobs.c.queue, jobs.c.status)
    query = select(*kinds, func.count(), func.sum(jobs.c.epochs), done).group_by(*kinds)
    totals: dict[tuple[int, str, str], list[int]] = {}
    for condition in among(jobs.c.id, job_ids):
        for experiment, queue, status, *numbers in c.execute(query.where(condition)):
            total = totals.setdefault((experiment, queue, status), [0, 0, 0])
            total[:] = [a + int(b) for a, b in zip(total, numbers, strict=True)]
    named = {experiment for experiment, _, _ in totals}
    query_names = select(experiments.c.id, experiments.c.name).where(experiments.c.id.in_(named))
    names = {row.id: row.name for row in c.execute(query_names)}
    return [
        Count(names[experiment], queue, JobStatus(status), *numbers)
        for (experiment, queue, status), numbers in totals.items()
    ]


def of_status(c: Connection, job_ids: Iterable[int], status: JobStatus, limit: int) -> list[int]:
    """The first `limit` of these jobs that are in the state, by number."""
    ids: list[int] = []
    for condition in among(jobs.c.id, job_ids):
        query = select(jobs.c.id).where(condition, jobs.c.status == status)
        ids += c.scalars(query.order_by(jobs.c.id).limit(limit))
    return sorted(ids)[:limit]


def unfinished(c: Connection, experiment: str | None = None) -> list[int]:
    """The numbers of all jobs that have not ended, of an experiment or of the fleet."""
    open_ones = [status for status in JobStatus if not status.is_terminal]
    query = select(jobs.c.id).where(jobs.c.status.in_(open_ones)).order_by(jobs.c.id)
    if experiment is not None:
        query = query.join(experiments, experiments.c.id == jobs.c.experiment_id)
        query = query.where(experiments.c.name == experiment)
    return list(c.scalars(query))
