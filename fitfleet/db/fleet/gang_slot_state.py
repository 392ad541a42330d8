"""The state of slots that are kept for a job on several GPUs (db/fleet/gangs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select, update

from fitfleet.db.schema.tables import gang_slots, jobs
from fitfleet.db.session import now
from fitfleet.states import JobStatus

_RETRY_S = 0.5


@dataclass(frozen=True)
class Kept:
    """What a slot is kept for."""

    job_id: int
    is_running: bool
    is_first: bool  # the slot that runs the job
    is_complete: bool  # all slots are ready
    devices: Sequence[str] = field(default_factory=tuple)  # of all its slots, each once


def kept_rows(*columns: Any) -> sa.Select[Any]:
    """SQL: these columns of gang_slots, and of jobs, for the slots that are kept for a job."""
    joined = gang_slots.join(jobs, jobs.c.id == gang_slots.c.job_id)
    return (
        select(*columns)
        .select_from(joined)
        .where(
            gang_slots.c.dispatch_seq == jobs.c.dispatch_seq,
            jobs.c.status.in_((JobStatus.DISPATCHED, JobStatus.RUNNING)),
            jobs.c.owner.is_not(None),
        )
    )


def kept_slots() -> sa.Select[Any]:
    """SQL: all slots that are kept for a job."""
    return kept_rows(gang_slots.c.slot)


def is_waiting() -> sa.ColumnElement[bool]:
    """SQL, of jobs: it is dispatched, and no attempt has begun."""
    return jobs.c.status == JobStatus.DISPATCHED


def kept_for(c: Connection, slot: str) -> Kept | None:
    """What a slot is kept for: a job that runs on its GPU, else the one that waits for it."""
    query = (
        kept_rows(gang_slots.c.job_id, jobs.c.status, jobs.c.owner)
        .where(gang_slots.c.slot == slot)
        .order_by(jobs.c.status.desc())  # RUNNING before DISPATCHED
    )
    row = c.execute(query).first()
    if row is None:
        return None
    of_job = select(gang_slots).where(gang_slots.c.job_id == row.job_id)
    all_slots = c.execute(of_job.order_by(gang_slots.c.device, gang_slots.c.slot)).all()
    return Kept(
        row.job_id,
        row.status == JobStatus.RUNNING,
        row.owner == slot,
        all(row_of_slot.is_ready for row_of_slot in all_slots),
        tuple(dict.fromkeys(row_of_slot.device for row_of_slot in all_slots)),
    )


def gpus_of(c: Connection, job_id: int) -> tuple[int, bool]:
    """How many GPUs are reserved for a job, 0: it needs none; and whether all are ready."""
    rows = c.execute(kept_rows(gang_slots).where(gang_slots.c.job_id == job_id)).all()
    return len({row.device for row in rows}), all(row.is_ready for row in rows)


@dataclass(frozen=True)
class Gathering:
    """How far a job is that waits for the slots which are kept for it."""

    slots: Sequence[str]
    not_ready: Sequence[str]
    running: Sequence[int]  # the jobs that have begun on those, or on their GPUs


def gathering(c: Connection, job_id: int) -> Gathering | None:
    """None for a job that no slots are kept for."""
    query = kept_rows(gang_slots).where(gang_slots.c.job_id == job_id)
    rows = c.execute(query.order_by(gang_slots.c.slot)).all()
    if not rows:
        return None
    not_ready = [row.slot for row in rows if not row.is_ready]
    of_gangs = select(gang_slots.c.job_id).where(gang_slots.c.slot.in_(not_ready))
    is_there = jobs.c.owner.in_(not_ready) | jobs.c.id.in_(of_gangs)
    started = select(jobs.c.id).where(jobs.c.status == JobStatus.RUNNING, is_there)
    running = list(c.scalars(started.order_by(jobs.c.id)))
    return Gathering([row.slot for row in rows], not_ready, running)


def count_kept(c: Connection, queue: str) -> int:
    """How many slots of a queue are kept for jobs."""
    query = kept_rows(sa.func.count(sa.distinct(gang_slots.c.slot))).where(jobs.c.queue == queue)
    return int(c.execute(query).scalar_one())


def mark_ready(c: Connection, slot: str) -> Kept | None:
    """Record that the slot's new child waits; what for. None: the slot is not reserved.

    A child that stands by for a job that runs is ready for the next one only when that has ended.
    """
    kept = kept_for(c, slot)
    if kept is None or kept.is_running:
        return kept
    condition = (gang_slots.c.job_id == kept.job_id) & (gang_slots.c.slot == slot)
    c.execute(update(gang_slots).where(condition).values(is_ready=True))
    return kept_for(c, slot)


def is_kept(c: Connection, slot: str) -> bool:
    """Whether a slot is kept for a job on several GPUs."""
    return c.execute(kept_slots().where(gang_slots.c.slot == slot).limit(1)).first() is not None


def requeue_message(c: Connection, message: tuple[int, int], slot: str) -> bool:
    """Give the job of a message back to the queue if the slot is kept; whether it is."""
    if not is_kept(c, slot):
        return False
    job_id, dispatch_seq = message
    condition = (jobs.c.id == job_id) & (jobs.c.dispatch_seq == dispatch_seq) & is_waiting()
    values = {"status": JobStatus.QUEUED, "not_before": now(c) + _RETRY_S}
    c.execute(update(jobs).where(condition, jobs.c.owner.is_(None)).values(values))
    return True
