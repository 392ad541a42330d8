"""What the trace of a job is made of. Nothing here writes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from fitfleet.db.schema.tables import attempts, events, experiments, jobs

_ATTEMPT = (
    *("job_id", "attempt", "worker", "started_at", "ended_at", "first_epoch", "outcome"),
    *("message", "engine", "phases", "gpus"),
)
_JOB = (
    *("id", "queue", "status", "seed", "priority", "submitted_at", "dispatched_at"),
    *("finished_at", "epoch", "failure_class", "failure_message"),
)


@dataclass(frozen=True)
class EndedJob:
    """The rows of a job that has ended."""

    row: Any  # of jobs, with the experiment's name
    continued_at: float | None  # when it was last retried or extended
    attempts: list[Any] = field(default_factory=list)  # rows, first first

    @property
    def trace_id(self) -> int:
        """See `trace_id`."""
        return trace_id(self.row.id, self.row.submitted_at)


def trace_id(job_id: int, submitted_at: float) -> int:
    """The 128-bit trace id of a job, computed from its row alone.

    Two fleets count their jobs from 1 both, so the time is part of it.
    """
    return int.from_bytes(_digest(f"fitfleet {job_id} {submitted_at:.6f}")[:16]) or 1


def span_id(trace: int, name: str) -> int:
    """The 64 bits of a span, the same however often it is sent."""
    return int.from_bytes(_digest(f"{trace:032x} {name}")[:8]) or 1


def ended(c: Connection, after: tuple[float, int], until: float, limit: int) -> list[EndedJob]:
    """The first jobs that ended after (time, job id), in that order, until this time."""
    at, number = after
    later = or_(jobs.c.finished_at > at, and_(jobs.c.finished_at == at, jobs.c.id > number))
    query = (
        select(*(jobs.c[name] for name in _JOB), experiments.c.name.label("experiment"))
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        # The first says the same again, for the index.
        .where(jobs.c.finished_at >= at, later)
        .order_by(jobs.c.finished_at, jobs.c.id)
        .limit(limit)
    )
    if until != float("inf"):  # which PostgreSQL alone has a literal for
        query = query.where(jobs.c.finished_at <= until)
    rows = c.execute(query).all()
    ids = [row.id for row in rows]
    continued, of_jobs = _continued(c, ids), _attempts(c, ids)
    return [EndedJob(row, continued.get(row.id), of_jobs[row.id]) for row in rows]


def _continued(c: Connection, ids: list[int]) -> dict[int, float]:
    query = (
        select(events.c.job_id, func.max(events.c.at))
        .where(events.c.job_id.in_(ids), events.c.kind.in_(("retried", "extended")))
        .group_by(events.c.job_id)
    )
    return {job_id: at for job_id, at in c.execute(query)} if ids else {}


def _attempts(c: Connection, ids: list[int]) -> dict[int, list[Any]]:
    query = (
        select(*(attempts.c[name] for name in _ATTEMPT))
        .where(attempts.c.job_id.in_(ids))
        .order_by(attempts.c.job_id, attempts.c.attempt)
    )
    by_job: dict[int, list[Any]] = defaultdict(list)
    for row in c.execute(query) if ids else ():
        by_job[row.job_id].append(row)
    return by_job


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
