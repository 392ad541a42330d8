"""The ended jobs of an experiment with one of their values, as columns, some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from fitfleet.db.schema.tables import experiments, jobs, metrics, shown_epoch
from fitfleet.states import TERMINAL, JobStatus

_PAGE = 20_000
_FINITE = (-1.7976931348623157e308, 1.7976931348623157e308)
_SUCCEEDED = JobStatus.SUCCEEDED.value


@dataclass(frozen=True)
class EndedJobs:
    """Some jobs, by number: of each column as many values."""

    ids: tuple[int, ...]
    statuses: tuple[str, ...]
    group_hashes: tuple[str, ...]
    params: tuple[str, ...]  # JSON
    seeds: tuple[int, ...]
    folds: tuple[int | None, ...]
    epochs: tuple[int, ...]  # asked for
    seconds: tuple[float, ...]
    nan_epochs: tuple[int | None, ...]
    values: tuple[float | None, ...]


def ended_jobs(
    c: Connection, experiment: str, value: sa.ColumnElement[float | None] | None
) -> Iterator[EndedJobs]:
    """By number; of a content that was run again the newest that succeeded, else the newest.

    `value` is one of `value_of`; None: no job has one.
    """
    experiment_id = c.execute(
        select(experiments.c.id).where(experiments.c.name == experiment)
    ).scalar()
    condition = (jobs.c.experiment_id == experiment_id) & jobs.c.status.in_(sorted(TERMINAL))
    names = ("id", "status", "group_hash", "params", "seed", "fold", "epochs", "seconds")
    query = (
        select(
            *(jobs.c[name] for name in (*names, "nan_epoch")),
            sa.null() if value is None else value,
        )
        .where(condition, jobs.c.id > sa.bindparam("after"))
        .order_by(jobs.c.id)
        .limit(_PAGE)
    )
    outdated = _outdated(c, condition)
    after = 0
    while rows := c.execute(query, {"after": after}).all():
        after = rows[-1].id
        kept = [row for row in rows if row.id not in outdated] if outdated else rows
        if kept:
            yield EndedJobs(*zip(*kept, strict=True))


def _outdated(c: Connection, condition: sa.ColumnElement[bool]) -> set[int]:
    """The jobs that a newer run of their content stands for."""
    again = select(jobs.c.content_hash).where(condition, jobs.c.rerun > 0)
    query = select(jobs.c.id, jobs.c.content_hash, jobs.c.status)
    query = query.where(condition, jobs.c.content_hash.in_(again)).order_by(jobs.c.id)
    newest: dict[str, tuple[bool, int]] = {}
    ids = set()
    for row in c.execute(query):
        ids.add(row.id)
        run = (row.status == _SUCCEEDED, row.id)
        newest[row.content_hash] = max(run, newest.get(row.content_hash, run))
    return ids - {job_id for _, job_id in newest.values()}


def value_of(
    name: str, direction: Literal["minimize", "maximize"], at: Literal["last", "best"]
) -> sa.ColumnElement[float | None]:
    """SQL: a metric of a job, at the epoch whose weights it keeps or at its best; its seconds."""
    if name == "seconds":
        return jobs.c.seconds
    if name == "parameters":
        return sa.cast(func.nullif(jobs.c.parameters, 0), sa.Double())
    phase = "val" if name.startswith("val_") else "train"
    condition = (
        (metrics.c.job_id == jobs.c.id)
        & (metrics.c.metric == name.removeprefix("val_"))
        & (metrics.c.phase == phase)
    )
    if at == "last":
        return (
            select(metrics.c.value)
            .where(condition, metrics.c.epoch == shown_epoch)
            .scalar_subquery()
        )
    extreme: Any = func.min if direction == "minimize" else func.max
    return (
        select(extreme(metrics.c.value))
        .where(condition, metrics.c.value.between(*_FINITE))
        .scalar_subquery()
    )
