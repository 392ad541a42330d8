"""Sweeps whose time is over: what waits is cancelled, what runs ends with its epoch."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from fitfleet.db import events
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.schema.sweep_tables import sweeps, trial_jobs, trials
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import now
from fitfleet.states import JobStatus, Request

WHY = "budget"
_WAITING = (JobStatus.QUEUED, JobStatus.DISPATCHED)


def is_spent(c: Connection, sweep_id: int) -> bool:
    """Whether the sweep has a budget, and it is spent, by the database's clock."""
    query = select(sweeps.c.id).where(sweeps.c.id == sweep_id, sweeps.c.ends_at <= now(c))
    return c.execute(query).first() is not None


def settle(c: Connection, sweep_id: int) -> bool:
    """Bring a sweep to its end if its budget is spent; whether it is. Any number of times.

    Jobs that never ran are cancelled and their trials cut short; one that has trained an epoch
    trains to the end of the next one and keeps its result. Reused jobs are left alone.
    """
    if not is_spent(c, sweep_id):
        return False
    query = (
        select(jobs.c.id, jobs.c.status, jobs.c.attempt, trial_jobs.c.number)
        .join(trial_jobs, trial_jobs.c.job_id == jobs.c.id)
        .where(
            trial_jobs.c.sweep_id == sweep_id,
            trial_jobs.c.is_reused.is_(False),
            jobs.c.status.in_((*_WAITING, JobStatus.RUNNING)),
        )
        .order_by(jobs.c.id)
    )
    cut = set()
    for row in c.execute(query).all():
        if row.status == JobStatus.RUNNING:
            _finish(c, row.id)
        elif not row.attempt and job_table.cancel(c, row.id) is JobStatus.CANCELLED:
            cut.add(row.number)
    for number in sorted(cut):
        c.execute(
            update(trials)
            .where(trials.c.sweep_id == sweep_id, trials.c.number == number)
            .where(trials.c.pruned.is_(None))
            .values(pruned=WHY)
        )
    return True


def _finish(c: Connection, job_id: int) -> None:
    updated = c.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.status == JobStatus.RUNNING, jobs.c.request.is_(None))
        .values(request=Request.FINISH)
    ).rowcount
    if updated:
        events.add(c, "budget", job_id, detail="it ends with its epoch")
