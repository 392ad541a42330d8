"""The best jobs of an experiment by one of their values, chosen and ordered by the database."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from fitfleet.db.schema.tables import experiments, jobs, metrics, scores, shown_epoch
from fitfleet.states import JobStatus


def _of(experiment: str, statuses: Collection[JobStatus]) -> sa.ColumnElement[bool]:
    number = select(experiments.c.id).where(experiments.c.name == experiment).scalar_subquery()
    return (jobs.c.experiment_id == number) & jobs.c.status.in_(sorted(statuses))


def _is_metric(name: str) -> sa.ColumnElement[bool]:
    phase = "val" if name.startswith("val_") else "train"
    return (metrics.c.metric == name.removeprefix("val_")) & (metrics.c.phase == phase)


def has_value(c: Connection, experiment: str, statuses: Collection[JobStatus], name: str) -> bool:
    """Whether a job of these statuses has a metric of that name (Keras's), or a score."""
    at_its_epoch = (metrics.c.job_id == jobs.c.id) & (metrics.c.epoch == shown_epoch)
    of_metric = (
        select(jobs.c.id)
        .join(metrics, at_its_epoch & _is_metric(name))
        .where(_of(experiment, statuses))
        .limit(1)
    )
    of_score = (
        select(jobs.c.id)
        .join(scores, (scores.c.job_id == jobs.c.id) & (scores.c.name == name))
        .where(_of(experiment, statuses))
        .limit(1)
    )
    return any(c.execute(query).first() is not None for query in (of_metric, of_score))


def best_jobs(
    c: Connection,
    experiment: str,
    statuses: Collection[JobStatus],
    name: str,
    direction: Literal["minimize", "maximize"],
    at: Literal["last", "best"],
    limit: int,
    *,
    or_loss: bool = False,
    with_weights: bool = False,
) -> list[tuple[int, float | None]]:
    """(job, value) of the first `limit`, best first; those without a value come last, by number.

    The value is the job's score of that name, or its metric: at the epoch whose weights are kept,
    or with `at="best"` the best of all epochs. With `or_loss` the loss stands for it where a job
    has neither; `with_weights`: only jobs whose weights are kept.
    """
    value = _value(name, direction, at)
    if or_loss:
        value = sa.case((_has(name), value), else_=_metric("loss", "minimize", at))
    query = select(jobs.c.id, value.label("value")).where(_of(experiment, statuses))
    if with_weights:
        query = query.where(jobs.c.artifact_path.is_not(None))
    ranked = query.subquery()
    order = ranked.c.value.asc() if direction == "minimize" else ranked.c.value.desc()
    # The value stands in it once: PostgreSQL looks each one up as often as the query names it.
    chosen = (
        select(ranked.c.id, ranked.c.value).order_by(order.nulls_last(), ranked.c.id).limit(limit)
    )
    return [(row.id, row.value) for row in c.execute(chosen)]


def _value(name: str, direction: str, at: str) -> sa.ColumnElement[float]:
    score = (
        select(scores.c.value)
        .where(scores.c.job_id == jobs.c.id, scores.c.name == name)
        .scalar_subquery()
    )
    return func.coalesce(score, _metric(name, direction, at))


def _has(name: str) -> sa.ColumnElement[bool]:
    """Whether the job has such a value, be it NaN."""
    metric = (metrics.c.job_id == jobs.c.id) & _is_metric(name) & (metrics.c.epoch == shown_epoch)
    score = (scores.c.job_id == jobs.c.id) & (scores.c.name == name)
    return sa.exists().where(metric) | sa.exists().where(score)


def _metric(name: str, direction: str, at: str) -> sa.ColumnElement[float]:
    condition = (metrics.c.job_id == jobs.c.id) & _is_metric(name)
    if at == "last":
        return (
            select(metrics.c.value)
            .where(condition, metrics.c.epoch == shown_epoch)
            .scalar_subquery()
        )
    extreme = func.min if direction == "minimize" else func.max
    return select(extreme(metrics.c.value)).where(condition).scalar_subquery()
