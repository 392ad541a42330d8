"""The fleet at one moment: what waits and runs where, and how much it gets done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from fitfleet.db.schema.tables import experiments, jobs, sweeps, workers
from fitfleet.db.session import read_clock
from fitfleet.states import JobStatus

# How long a killed slot is shown after its last heartbeat.
_SHOWN_S = 24 * 3600.0
# The period over which throughput is measured.
WINDOW_S = 600.0


@dataclass(frozen=True)
class Waiting:
    """The waiting jobs of one experiment in one queue."""

    experiment: str
    queue: str
    count: int
    first: int  # the job that goes first of them


@dataclass(frozen=True)
class Throughput:
    """Jobs that ended lately, and over how long."""

    ended: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.ended / self.seconds if self.seconds > 0 else 0.0


def counts(c: Connection) -> dict[str, dict[str, int]]:
    """Experiment -> status -> number of jobs; experiments without jobs are there too."""
    is_there = experiments.c.removing.is_(None)
    names = {row.id: row.name for row in c.execute(select(experiments).where(is_there))}
    by_experiment: dict[str, dict[str, int]] = {name: {} for name in names.values()}
    query = select(jobs.c.experiment_id, jobs.c.status, func.count())
    for experiment_id, status, count in c.execute(
        query.group_by(jobs.c.experiment_id, jobs.c.status)
    ):
        if experiment_id in names:
            by_experiment[names[experiment_id]][status] = count
    return by_experiment


def settings_of(c: Connection) -> dict[str, dict[str, Any]]:
    """Experiment -> is_paused and max_running."""
    return {
        row.name: {"is_paused": bool(row.is_paused), "max_running": row.max_running}
        for row in c.execute(select(experiments))
    }


def waiting(c: Connection) -> list[Waiting]:
    """What waits, by experiment and queue."""
    query = (
        select(jobs.c.experiment_id, experiments.c.name, jobs.c.queue, func.count())
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(jobs.c.status == JobStatus.QUEUED)
        .group_by(jobs.c.experiment_id, experiments.c.name, jobs.c.queue)
        .order_by(jobs.c.experiment_id, jobs.c.queue)
    )
    queues = []
    for experiment_id, name, queue, count in c.execute(query).all():
        first = (
            select(jobs.c.id)
            .where(
                jobs.c.status == JobStatus.QUEUED,
                jobs.c.queue == queue,
                jobs.c.experiment_id == experiment_id,
            )
            .order_by(jobs.c.priority.desc(), jobs.c.id)
            .limit(1)
        )
        queues.append(Waiting(name, queue, count, int(c.execute(first).scalar_one())))
    return queues


def throughput(c: Connection) -> Throughput:
    """Of the last ten minutes, or since the first of the jobs that ended in them began."""
    at = read_clock(c)
    query = select(func.count(), func.min(jobs.c.started_at)).where(
        jobs.c.finished_at > at - WINDOW_S, jobs.c.started_at.is_not(None)
    )
    count, first = c.execute(query).one()
    return Throughput(int(count), min(WINDOW_S, at - first) if first else 0.0)


def slots(c: Connection) -> list[dict[str, Any]]:
    """The slots that have not ended, with `silent_s` and the `jobs` that each runs."""
    at = read_clock(c)
    query = (
        select(workers)
        .where(workers.c.ended_at.is_(None), workers.c.heartbeat_at > at - _SHOWN_S)
        .order_by(workers.c.host, workers.c.queue, workers.c.id)
    )
    held: dict[str, list[int]] = {}
    running = select(jobs.c.owner, jobs.c.id).where(jobs.c.status == JobStatus.RUNNING)
    for owner, job_id in c.execute(running):
        held.setdefault(owner or "", []).append(job_id)
    return [
        {**row._mapping, "silent_s": at - row.heartbeat_at, "jobs": sorted(held.get(row.id, []))}
        for row in c.execute(query)
    ]


def sweep_names(c: Connection) -> list[dict[str, Any]]:
    """Name, experiment and end of each sweep, the newest first."""
    query = (
        select(sweeps.c.name, experiments.c.name.label("experiment"), sweeps.c.ended_at)
        .join(experiments, experiments.c.id == sweeps.c.experiment_id)
        .order_by(sweeps.c.id.desc())
    )
    return [dict(row._mapping) for row in c.execute(query)]
