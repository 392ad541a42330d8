"""How many live slots each queue has, and how many of them are busy."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Double, func, select

from fitfleet.db.fleet.gang_slot_state import kept_slots
from fitfleet.db.schema.tables import jobs, workers
from fitfleet.db.session import now, read_clock
from fitfleet.spec.requirements import missing
from fitfleet.states import JobStatus


@dataclass(frozen=True)
class SlotGroup:
    """The slots of a queue that have the same labels, and so one Celery queue of their own."""

    labels: str  # JSON
    route: str  # its name; empty: they have none
    slots: int  # of live workers that are not draining
    running: int
    dispatched: int  # whose messages are in the route

    @property
    def free(self) -> int:
        """Slots with nothing to do."""
        return max(0, self.slots - self.running)

    def lacks(self, requirement: str) -> list[str]:
        """What a job would miss here; empty: it fits."""
        return missing(requirement, json.loads(self.labels))


@dataclass(frozen=True)
class QueueLoad:
    """A queue as the dispatcher sees it."""

    queue: str
    slots: int  # of live workers that are not draining
    running: int
    dispatched: int  # whose messages are in the broker, in the queue of that name or in a route
    groups: tuple[SlotGroup, ...] = ()

    @property
    def free(self) -> int:
        """Slots with nothing to do."""
        if self.groups:
            return sum(group.free for group in self.groups)
        return max(0, self.slots - self.running)

    def room(self, window: int) -> int:
        """How many more messages there may be: for each free slot a window of them.

        What is sent to a group counts against its own slots only.
        """
        shared = self.dispatched - sum(group.dispatched for group in self.groups)
        if not self.groups:
            return window * self.free - shared
        return sum(max(0, window * g.free - g.dispatched) for g in self.groups) - shared

    def of_groups(self, requirement: str) -> QueueLoad | None:
        """The same of those slots only where a job fits; None: it fits nowhere."""
        fitting = tuple(group for group in self.groups if not group.lacks(requirement))
        if not requirement or not fitting:
            return self if not requirement else None
        counts = ((g.slots, g.running, g.dispatched) for g in fitting)
        slots, running, dispatched = (sum(numbers) for numbers in zip(*counts, strict=True))
        shared = self.dispatched - sum(group.dispatched for group in self.groups)
        return QueueLoad(self.queue, slots, running, dispatched + shared, fitting)


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
    rows = c.execute(_loads_query(str(now(c)), only_waiting), {"alive_s": alive_s})
    by_queue: dict[str, list[Any]] = {}
    for row in rows:
        by_queue.setdefault(row.queue, []).append(row)
    return [_load(queue, of_queue) for queue, of_queue in by_queue.items()]


def _load(queue: str, rows: Sequence[Any]) -> QueueLoad:
    groups = tuple(SlotGroup(*row[1:6]) for row in rows)
    return QueueLoad(
        queue,
        sum(group.slots for group in groups),
        sum(group.running for group in groups),
        rows[0].shared + sum(group.dispatched for group in groups),
        groups,
    )


@functools.cache
def _loads_query(at: str, only_waiting: bool) -> sa.Select[Any]:
    """Cached: building the statement costs more than running it."""
    live = (
        select(workers.c.id, workers.c.queue, workers.c.labels, workers.c.route)
        .where(
            workers.c.ended_at.is_(None),
            workers.c.is_draining.is_(False),
            workers.c.heartbeat_at > sa.literal_column(at) - sa.bindparam("alive_s", type_=Double),
        )
        .cte("live")
    )
    in_flight = jobs.c.status.in_((JobStatus.RUNNING, JobStatus.DISPATCHED))
    # A cohort fills one slot however many jobs it holds: count owners, not jobs.
    owners = select(jobs.c.owner).where(in_flight, jobs.c.owner.is_not(None))
    busy = owners.union(kept_slots()).cte("busy")
    kind = (live.c.queue, live.c.labels, live.c.route)
    groups = (
        select(*kind, sa.func.count().label("slots"), sa.func.count(busy.c.owner).label("running"))
        .join_from(live, busy, busy.c.owner == live.c.id, isouter=True)
        .group_by(*kind)
        .cte("groups")
    )
    route = sa.func.coalesce(jobs.c.sent_to, "")
    sent = (
        select(jobs.c.queue, route.label("route"), sa.func.count().label("count"))
        # What a slot has reserved has no message.
        .where(jobs.c.status == JobStatus.DISPATCHED, jobs.c.owner.is_(None))
        .group_by(jobs.c.queue, route)
        .cte("sent")
    )
    of_route = select(sent.c.count).where(
        sent.c.queue == groups.c.queue, sent.c.route == groups.c.route, groups.c.route != ""
    )
    shared = select(sent.c.count).where(sent.c.queue == groups.c.queue, sent.c.route == "")
    query = select(
        *groups.c,
        sa.func.coalesce(of_route.scalar_subquery(), 0).label("dispatched"),
        sa.func.coalesce(shared.scalar_subquery(), 0).label("shared"),
    ).order_by(groups.c.queue, groups.c.labels)
    if not only_waiting:
        return query
    waiting = select(jobs.c.id).where(
        jobs.c.status == JobStatus.QUEUED, jobs.c.queue == groups.c.queue
    )
    return query.where(waiting.exists())


def count_live_slots(c: Connection, alive_s: float) -> int:
    """The number of live worker slots that take jobs: last heartbeat within `alive_s` seconds."""
    alive = workers.c.heartbeat_at > read_clock(c) - alive_s
    query = select(func.count()).select_from(workers)
    query = query.where(alive, workers.c.ended_at.is_(None), workers.c.is_draining.is_(False))
    return int(c.execute(query).scalar_one())
