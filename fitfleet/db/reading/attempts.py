"""Reading the attempts of jobs. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from fitfleet.db.dialect import chunks
from fitfleet.db.schema.tables import attempts, jobs, workers


def attempts_of(c: Connection, job_id: int) -> list[dict[str, Any]]:
    """The attempts of a job, first first."""
    query = (
        select(attempts, workers.c.name.label("worker_name"))
        .outerjoin(workers, workers.c.id == attempts.c.worker)
        .where(attempts.c.job_id == job_id)
        .order_by(attempts.c.attempt)
    )
    return [dict(row._mapping) for row in c.execute(query)]


def attempt_starts(c: Connection, job_ids: Sequence[int]) -> dict[int, tuple[float, int | None]]:
    """(start, first epoch) of the attempt each job is in; None before its fit has begun."""
    starts: dict[int, tuple[float, int | None]] = {}
    for chunk in chunks(job_ids):
        query = (
            select(attempts.c.job_id, attempts.c.started_at, attempts.c.first_epoch)
            .join(jobs, (jobs.c.id == attempts.c.job_id) & (jobs.c.attempt == attempts.c.attempt))
            .where(jobs.c.id.in_(chunk))
        )
        for job_id, started_at, first_epoch in c.execute(query):
            starts[job_id] = (started_at, first_epoch)
    return starts


def open_attempts(c: Connection, ids: Sequence[int]) -> list[tuple[str, float]]:
    """Worker and start of each attempt of these jobs that has no outcome yet."""
    query = select(attempts.c.worker, attempts.c.started_at).where(
        attempts.c.job_id.in_(ids), attempts.c.outcome.is_(None)
    )
    return [(row.worker, row.started_at) for row in c.execute(query)]
