"""Curves, a bounded piece at a time: what is new since an epoch of each job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from fitfleet.db.schema.tables import jobs, metrics


@dataclass
class NewValues:
    """New values of one job. `epoch` is what it has now: less than a reader knows, if it was lost.

    `seconds` is the time of its attempts so far, which no epoch records: divided by `epoch` it
    gives the mean.
    """

    epoch: int
    status: str
    seconds: float
    epochs: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class CurvePart:
    """A piece of curves; with `has_more` the rest is asked for from where it ends."""

    jobs: dict[int, NewValues]
    has_more: bool


def since(
    c: Connection, known: Mapping[int, int], name: str, limit: int, stride: int = 1
) -> CurvePart:
    """Values of one metric after the known epoch of each job, at most `limit` in all.

    With a `stride`, every stride-th epoch and the last one.
    """
    metric, phase = name.removeprefix("val_"), "val" if name.startswith("val_") else "train"
    curves = _heads(c, list(known))
    left = limit
    for job_id, after in known.items():
        if job_id not in curves or curves[job_id].epoch <= after:
            continue
        if left <= 0:
            return CurvePart(curves, True)
        query = select(metrics.c.epoch, metrics.c.value).where(
            metrics.c.job_id == job_id,
            metrics.c.epoch > after,
            metrics.c.metric == metric,
            metrics.c.phase == phase,
        )
        if stride > 1:
            is_last = metrics.c.epoch == curves[job_id].epoch
            query = query.where((metrics.c.epoch % stride == 0) | is_last)
        rows = c.execute(query.order_by(metrics.c.epoch).limit(left)).all()
        curves[job_id].epochs = [row.epoch for row in rows]
        curves[job_id].values = [row.value for row in rows]
        left -= len(rows)
    return CurvePart(curves, left <= 0)


def _heads(c: Connection, job_ids: Sequence[int]) -> dict[int, NewValues]:
    query = select(jobs.c.id, jobs.c.epoch, jobs.c.status, jobs.c.seconds)
    rows = c.execute(query.where(jobs.c.id.in_(job_ids)))
    return {row.id: NewValues(row.epoch, row.status, row.seconds) for row in rows}
