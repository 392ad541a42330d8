"""How long jobs take, by what was measured: those that run, and others of their experiments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from fitfleet.db.schema.tables import attempts, jobs, workers
from fitfleet.db.session import read_clock
from fitfleet.states import JobStatus

# The mean time of an experiment's jobs is that of this many.
_SAMPLE = 50


@dataclass(frozen=True)
class Running:
    """A running job, for how long it may still take."""

    owner: str
    experiment_id: int
    left_s: float | None  # by the epochs of this attempt; None before its first


def running(c: Connection, queue: str, routes: Collection[str] | None = None) -> list[Running]:
    """The running jobs of a queue; with `routes` those of their slots only."""
    at = read_clock(c)
    query = (
        select(
            jobs.c.owner,
            jobs.c.experiment_id,
            jobs.c.epoch,
            jobs.c.epochs,
            attempts.c.started_at,
            attempts.c.first_epoch,
        )
        .join(attempts, (attempts.c.job_id == jobs.c.id) & (attempts.c.attempt == jobs.c.attempt))
        .where(jobs.c.status == JobStatus.RUNNING, jobs.c.queue == queue)
    )
    if routes is not None:
        query = query.join(workers, workers.c.id == jobs.c.owner).where(workers.c.route.in_(routes))
    return [
        Running(row.owner or "", row.experiment_id, seconds_left(*row[2:], at))
        for row in c.execute(query)
    ]


def seconds_left(
    epoch: int, epochs: int, started_at: float, first_epoch: int | None, at: float
) -> float | None:
    """By the mean time of the epochs of this attempt; None before its first."""
    if first_epoch is None or epoch <= first_epoch:
        return None
    return (epochs - epoch) * (at - started_at) / (epoch - first_epoch)


def experiments_of(c: Connection, job_ids: Sequence[int]) -> list[int]:
    """The experiment's number of each job, in their order."""
    query = select(jobs.c.id, jobs.c.experiment_id).where(jobs.c.id.in_(job_ids))
    experiment_ids = {row.id: row.experiment_id for row in c.execute(query)}
    return [experiment_ids[job_id] for job_id in job_ids if job_id in experiment_ids]


def mean_seconds(c: Connection, queue: str, experiment_ids: Collection[int]) -> dict[int, float]:
    """Experiment -> mean time of some of its succeeded jobs; those without one are left out."""
    means: dict[int, float] = {}
    for experiment_id in experiment_ids:
        sample = (
            select(jobs.c.seconds)
            .where(
                jobs.c.status == JobStatus.SUCCEEDED,
                jobs.c.queue == queue,
                jobs.c.experiment_id == experiment_id,
            )
            # Backwards through the index, whatever the number of jobs.
            .order_by(jobs.c.requirement_id.desc(), jobs.c.priority, jobs.c.id.desc())
            .limit(_SAMPLE)
            .subquery()
        )
        mean = c.execute(select(func.avg(sample.c.seconds))).scalar()
        if mean is not None:
            means[experiment_id] = float(mean)
    return means
