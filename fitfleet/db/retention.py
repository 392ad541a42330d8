"""Which files the rows point to, and letting go of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from fitfleet.db import events
from fitfleet.db.session import now
from fitfleet.db.tables import experiments, job_specs, jobs, sweeps
from fitfleet.states import TERMINAL, JobStatus


@dataclass(frozen=True)
class Kept:
    """A job and the files that its row points to, relative to the storage."""

    job_id: int
    experiment: str
    sweep_id: int | None
    status: JobStatus
    artifact_path: str | None
    checkpoint_path: str | None
    ended_s: float  # seconds since it ended; 0 while it has not


def kept(c: Connection, experiment: str | None = None) -> list[Kept]:
    """All jobs of an experiment or of the fleet, by number."""
    query = (
        select(
            jobs.c.id,
            experiments.c.name,
            jobs.c.sweep_id,
            jobs.c.status,
            jobs.c.artifact_path,
            jobs.c.checkpoint_path,
            func.coalesce(now(c) - jobs.c.finished_at, 0.0),
        )
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .order_by(jobs.c.id)
    )
    if experiment is not None:
        query = query.where(experiments.c.name == experiment)
    return [
        Kept(job_id, name, sweep, JobStatus(status), artifact, checkpoint, float(ended_s))
        for job_id, name, sweep, status, artifact, checkpoint, ended_s in c.execute(query)
    ]


def size_bytes(c: Connection) -> int:
    """Size of the whole database on its disk."""
    if c.dialect.name == "postgresql":
        return int(c.scalar(select(func.pg_database_size(func.current_database()))) or 0)
    pages = c.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages * c.exec_driver_sql("PRAGMA page_size").scalar_one())


def names_in_specs(c: Connection, texts: Collection[str]) -> set[str]:
    """Those of the texts that stand in the spec of a job or the design of a sweep."""
    left = set(texts)
    for column in (job_specs.c.spec, sweeps.c.document):
        if left:
            for (document,) in c.execute(select(column).execution_options(yield_per=500)):
                left -= {text for text in left if text in document}
    return set(texts) - left


def forget(c: Connection, job_id: int, path: str) -> bool:
    """Point to this file no more. False: the job continues, or points elsewhere by now."""
    is_forgotten = False
    for column in (jobs.c.artifact_path, jobs.c.checkpoint_path):
        values = {column.name: None}
        if column.name == "checkpoint_path":
            values |= {"checkpoint_epoch": None, "checkpoint_sha256": None}
        won = c.execute(
            update(jobs)
            .where(jobs.c.id == job_id, column == path, jobs.c.status.in_(sorted(TERMINAL)))
            .values(**values)
        ).rowcount
        is_forgotten |= bool(won)
    if is_forgotten:
        events.add(c, "collected", job_id, detail=path)
    return is_forgotten
