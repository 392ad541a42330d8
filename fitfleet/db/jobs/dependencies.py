"""Jobs that start from the weights of another, and wait until it has ended.

Such a job is QUEUED with a `not_before` that never comes; the scheduler lets it go when the other
has succeeded, and ends it with a sentence when it cannot succeed any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from fitfleet.db import events
from fitfleet.db.accounts import webhooks
from fitfleet.db.schema.sweep_tables import sweeps, trial_jobs, trials
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import now
from fitfleet.states import TERMINAL, FailureClass, JobStatus

# Seconds since 1970, after all times: the dispatcher leaves such a job out.
NEVER = 1e15
_FIX = "retry that one, and this when it has succeeded"


@dataclass(frozen=True)
class Parent:
    """The job whose weights another starts from."""

    job_id: int
    status: JobStatus
    artifact_path: str | None  # relative to the storage
    artifact_sha256: str | None
    content_hash: str


def settle(c: Connection) -> list[int]:
    """Queue the jobs whose parent has succeeded, fail those whose parent has not; their ids.

    A parent that was retried meanwhile is waited for.
    """
    parent = jobs.alias("parent")
    query = (
        select(jobs.c.id, parent.c.id.label("parent_id"), parent.c.status, parent.c.failure_message)
        .outerjoin(parent, parent.c.id == jobs.c.starts_from)
        .where(jobs.c.status == JobStatus.QUEUED, jobs.c.not_before >= NEVER)
        .where(parent.c.id.is_(None) | parent.c.status.in_(sorted(TERMINAL)))
        .order_by(jobs.c.id)
    )
    settled = []
    for row in c.execute(query).all():
        if row.status == JobStatus.SUCCEEDED:
            is_settled = _release(c, row.id)
            detail = f"job {row.parent_id} has succeeded"
        else:
            detail = _reason(row)
            is_settled = _fail(c, row.id, detail)
        if is_settled:
            events.add(c, "dependency", row.id, detail=detail)
            settled.append(row.id)
    return settled


def parent_of(c: Connection, job_id: int) -> Parent | None:
    """The job that this one starts from; None if it starts from none, or it was removed."""
    parent = jobs.alias("parent")
    names = ("id", "status", "artifact_path", "artifact_sha256", "content_hash")
    query = (
        select(*(parent.c[name] for name in names))
        .join(jobs, jobs.c.starts_from == parent.c.id)
        .where(jobs.c.id == job_id)
    )
    row = c.execute(query).first()
    return None if row is None else Parent(row.id, JobStatus(row.status), *row[2:])


def needed_parents(c: Connection) -> set[int]:
    """Jobs whose weights another one that has not ended starts from, or may start from yet."""
    query = select(jobs.c.starts_from).where(
        jobs.c.starts_from.is_not(None), jobs.c.status.not_in(sorted(TERMINAL))
    )
    return {int(number) for number in c.scalars(query)} | _newest_generations(c)


def _newest_generations(c: Connection) -> set[int]:
    """Jobs of the last generation of every sweep that has not ended: the next continues them."""
    last = (
        select(trials.c.sweep_id, func.max(trials.c.generation).label("generation"))
        .join(sweeps, sweeps.c.id == trials.c.sweep_id)
        .where(sweeps.c.ended_at.is_(None), trials.c.generation.is_not(None))
        .group_by(trials.c.sweep_id)
        .subquery()
    )
    query = (
        select(trial_jobs.c.job_id)
        .join(
            trials,
            (trials.c.sweep_id == trial_jobs.c.sweep_id) & (trials.c.number == trial_jobs.c.number),
        )
        .join(
            last,
            (last.c.sweep_id == trials.c.sweep_id) & (last.c.generation == trials.c.generation),
        )
    )
    return set(c.scalars(query))


def _release(c: Connection, job_id: int) -> bool:
    waits = (jobs.c.id == job_id) & (jobs.c.status == JobStatus.QUEUED)
    return bool(c.execute(update(jobs).where(waits).values(not_before=0.0)).rowcount)


def _fail(c: Connection, job_id: int, message: str) -> bool:
    values = {
        "status": JobStatus.FAILED,
        "failure_class": FailureClass.USER,
        "failure_message": message,
        "finished_at": now(c),
    }
    waits = (jobs.c.id == job_id) & (jobs.c.status == JobStatus.QUEUED)
    is_failed = bool(c.execute(update(jobs).where(waits).values(**values)).rowcount)
    if is_failed:
        webhooks.jobs_ended(c, [job_id])
    return is_failed


def _reason(row: object) -> str:
    parent_id = row.parent_id  # type: ignore[attr-defined]
    if parent_id is None:
        return "the job whose weights it starts from was removed; submit it again from another"
    ended = str(row.status).lower()  # type: ignore[attr-defined]
    why = row.failure_message  # type: ignore[attr-defined]
    detail = f" ({why[:200]})" if why else ""
    return f"job {parent_id}, whose weights it starts from, has {_ENDED[ended]}{detail}; {_FIX}"


_ENDED = {"failed": "failed", "cancelled": "been cancelled", "pruned": "been pruned"}
