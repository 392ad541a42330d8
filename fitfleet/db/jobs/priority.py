"""Changing which of the waiting jobs goes first."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection, update

from fitfleet.db import events
from fitfleet.db.accounts import access
from fitfleet.db.jobs.jobs import status_of
from fitfleet.db.schema.tables import jobs
from fitfleet.states import JobStatus


def set_priority(c: Connection, job_id: int, priority: int) -> bool:
    """Let a job go before or after others the next time it waits; False if it has ended.

    One that lies in the broker, or that a slot has reserved, comes back, so that those before it
    now are published first.
    """
    is_running = jobs.c.status == JobStatus.RUNNING
    values = {
        "priority": priority,
        "status": sa.case((is_running, jobs.c.status), else_=JobStatus.QUEUED.value),
        "owner": sa.case((is_running, jobs.c.owner)),
        "lease_until": sa.case((is_running, jobs.c.lease_until)),
    }
    ended = [status.value for status in JobStatus if status.is_terminal]
    updated = c.execute(
        update(jobs).where(jobs.c.id == job_id, jobs.c.status.not_in(ended)).values(values)
    ).rowcount
    if updated:
        access.change_job(c, "priority", job_id, str(priority))
        events.add(c, "priority", job_id, detail=str(priority))
        return True
    status_of(c, job_id)  # NotFoundError, if there is none
    return False
