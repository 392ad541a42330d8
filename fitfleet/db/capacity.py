"""How many live slots each queue has, and how many of them are busy."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Double, func, select

from fitfleet.db.session import now, read_clock
from fitfleet.db.tables import jobs, workers
from fitfleet.states import JobStatus


@dataclass(frozen=True)
class QueueLoad:
    """A queue as the dispatcher sees it."""

    queue: str
    slots: int  # of live workers that are not draining
    running: int
    dispatched: int  # whose messages are in the broker

    @property
    def free(self) -> int:
        """Slots with nothing to do."""
        return max(0, self.slots - self.running)


def is_busy(c: Connection) -> bool:
    """Whether a job runs, or is on its way to a worker."""
    under_way = (JobStatus.RUNNING, JobStatus.DISPATCHED)
    return (
        c.execute(select(jobs.c.id).where(jobs.c.status.in_(under_way)).limit(1)).first()
        is not None
    )


def loads(c: Connection, alive_s: float, *, only_waiting: bool = False) -> list[QueueLoad]:
    """Every queue that has a live worker, one seen within `alive_s` seconds.

    With `only_waiting` those that have QUEUED jobs: the one statement of an idle scheduler.
    """
    at = str(now(c))
    return [
        QueueLoad(*row) for row in c.execute(_loads_query(at, only_waiting), {"alive_s": alive_s})
    ]


@functools.cache
def _loads_query(at: str, only_waiting: bool) -> sa.Select[Any]:
    """Kept, since putting it together costs more than asking it."""
    slots = (
        select(workers.c.queue, sa.func.count().label("slots"))
        .where(
            workers.c.ended_at.is_(None),
            workers.c.is_draining.is_(False),
            workers.c.heartbeat_at > sa.literal_column(at) - sa.bindparam("alive_s", type_=Double),
        )
        .group_by(workers.c.queue)
        .cte("slots")
    )
    status = jobs.c.status
    # A cohort fills one slot however many jobs it holds: count owners, not jobs. What a slot has
    # reserved of it has no message.
    is_sent = (status == JobStatus.DISPATCHED) & jobs.c.owner.is_(None)
    busy = (
        select(
            jobs.c.queue,
            sa.func.count(sa.distinct(jobs.c.owner)).label("running"),
            sa.func.count(sa.case((is_sent, 1))).label("dispatched"),
        )
        .where(status.in_((JobStatus.RUNNING, JobStatus.DISPATCHED)))
        .group_by(jobs.c.queue)
        .cte("busy")
    )
    query = select(
        slots.c.queue,
        slots.c.slots,
        sa.func.coalesce(busy.c.running, 0).label("running"),
        sa.func.coalesce(busy.c.dispatched, 0).label("dispatched"),
    ).join_from(slots, busy, busy.c.queue == slots.c.queue, isouter=True)
    if not only_waiting:
        return query
    waiting = select(jobs.c.id).where(status == JobStatus.QUEUED, jobs.c.queue == slots.c.queue)
    return query.where(waiting.exists())


def count_live_slots(c: Connection, alive_s: float) -> int:
    """The number of worker slots heard of within `alive_s` seconds that take jobs."""
    alive = workers.c.heartbeat_at > read_clock(c) - alive_s
    query = select(func.count()).select_from(workers)
    query = query.where(alive, workers.c.ended_at.is_(None), workers.c.is_draining.is_(False))
    return int(c.execute(query).scalar_one())
