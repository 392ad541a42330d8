"""Preemption: a running job of a lower priority goes back to the queue for a more urgent one.

It writes a checkpoint at the end of its epoch and resumes from there, with the same numbers.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select, update

from fitfleet.db import events
from fitfleet.db.attempts.claims import lock
from fitfleet.db.fleet import capacity
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.fleet.dispatch_capacity import unlimited
from fitfleet.db.scheduling import dispatch
from fitfleet.db.scheduling.reservations import WAITING
from fitfleet.db.schema.tables import jobs, requirements, workers
from fitfleet.db.session import now
from fitfleet.states import JobStatus, Request


def preempt(c: Connection, alive_s: float, wait_s: float) -> list[int]:
    """Release running jobs for those of a higher priority that have waited for `wait_s`; their ids.

    Of each queue one slot at a time, and only while none is free where the first waiting job
    fits. It is the slot whose highest priority is the lowest, of several the one whose job has
    started last.
    """
    released: list[int] = []
    for load in capacity.loads(c, alive_s, only_waiting=True):
        waiting = _first(c, load, wait_s)
        fitting = None if waiting is None else load.of_groups(waiting.document or "")
        if waiting is None or fitting is None or fitting.free > 0:
            continue
        slot = _slot(c, fitting, waiting.priority)
        if slot is not None:
            _requeue_messages(c, load.queue, slot, waiting.priority)
            released += _release(c, slot, waiting.id, waiting.priority)
    return released


def _first(c: Connection, load: QueueLoad, wait_s: float) -> Any:
    """The job that is first in dispatch order, if it has waited for `wait_s`."""
    dispatch.lock_dispatch(c)
    first = dispatch.order(c, load.queue, unlimited(c, load.queue, load, 1))
    is_delayed = jobs.c.not_before > jobs.c.submitted_at
    since = sa.case((is_delayed, jobs.c.not_before), else_=jobs.c.submitted_at)
    query = (
        select(jobs.c.id, jobs.c.priority, requirements.c.document)
        .outerjoin(requirements, requirements.c.id == jobs.c.requirement_id)
        .where(jobs.c.id.in_(first), since <= now(c) - wait_s)
    )
    return c.execute(query).first()


def _slot(c: Connection, load: QueueLoad, priority: int) -> str | None:
    """A slot of these groups whose jobs all have a lower priority; None while one is preempted."""
    routes = [group.route for group in load.groups]
    is_released = jobs.c.request == Request.RELEASE
    query = (
        select(
            jobs.c.owner,
            sa.func.max(jobs.c.priority).label("priority"),
            sa.func.max(jobs.c.started_at).label("began_at"),
            sa.func.max(sa.case((is_released, 1), else_=0)).label("is_released"),
        )
        .join(workers, workers.c.id == jobs.c.owner)
        .where(
            jobs.c.status == JobStatus.RUNNING,
            jobs.c.queue == load.queue,
            workers.c.route.in_(routes),
            workers.c.is_draining.is_(False),
        )
        .group_by(jobs.c.owner)
        .order_by(sa.text("priority"), sa.text("began_at DESC"), jobs.c.owner)
    )
    rows = c.execute(query).all()
    if not rows or any(row.is_released for row in rows) or rows[0].priority >= priority:
        return None
    return str(rows[0].owner)


def _requeue_messages(c: Connection, queue: str, slot: str, priority: int) -> None:
    """Requeue what would take the slot first: less urgent messages, and reserved peers."""
    is_sent = jobs.c.owner.is_(None) & (jobs.c.queue == queue)
    condition = (
        (jobs.c.status == JobStatus.DISPATCHED)
        & (is_sent | (jobs.c.owner == slot))
        & (jobs.c.priority < priority)
    )
    lock(c, c.scalars(select(jobs.c.id).where(condition)).all())
    c.execute(update(jobs).where(condition).values(WAITING))


def _release(c: Connection, slot: str, job_id: int, priority: int) -> list[int]:
    condition = (jobs.c.owner == slot) & (jobs.c.status == JobStatus.RUNNING)
    lock(c, c.scalars(select(jobs.c.id).where(condition)).all())
    statement = (
        update(jobs)
        .where(condition, jobs.c.request.is_(None))
        .values(request=Request.RELEASE)
        .returning(jobs.c.id, jobs.c.attempt)
    )
    rows = c.execute(statement).all()
    detail = f"for job {job_id} of priority {priority}"
    for row in rows:
        events.add(c, "preempted", row.id, attempt=row.attempt, worker=slot, detail=detail)
    return [row.id for row in rows]
