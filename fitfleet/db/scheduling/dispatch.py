"""What the dispatcher writes: which waiting jobs go to the broker, and which come back from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, select, update

from fitfleet.db.accounts.usage import DEFAULT
from fitfleet.db.fleet import gangs
from fitfleet.db.fleet.dispatch_capacity import DispatchCapacity
from fitfleet.db.scheduling import backlogs, fair_share
from fitfleet.db.scheduling.candidate_order import Ranked, choose
from fitfleet.db.scheduling.fair_share import Shared, Turn
from fitfleet.db.schema.tables import experiments, jobs, workers
from fitfleet.db.session import now
from fitfleet.db.specs.requirements import document_of
from fitfleet.spec.requirements import gpus_of
from fitfleet.states import JobStatus

_DISPATCH_LOCK = 4712  # a number of our own among PostgreSQL's advisory locks


class Message(NamedTuple):
    """A job that was dispatched, as the broker is to have it."""

    job_id: int
    dispatch_seq: int
    route: str  # the Celery queue of slots where it fits; empty: that of all slots of its queue
    # How many slots are kept for a job on several GPUs: each is told. 0: the job goes to one slot
    kept: int = 0


def dispatch(c: Connection, queue: str, limit: int) -> list[tuple[int, int]]:
    """Move up to `limit` jobs without requirements; (job id, dispatch_seq) in order."""
    return [message[:2] for message in dispatch_to(c, queue, DispatchCapacity(limit))]


def dispatch_to(c: Connection, queue: str, capacity: DispatchCapacity) -> list[Message]:
    """Move jobs of a queue to DISPATCHED, as many as there is capacity for, in order.

    By priority, then the experiment with the fewest jobs in flight, then the one served least
    recently, then age; never above an experiment's max_running or its user's quota, never of a
    paused one, and only to slots that satisfy a job's requirements. With shares of users or groups,
    that is the order of each user's jobs (shares). The messages are the caller's to publish,
    after the commit.
    """
    if capacity.total <= 0:
        return []
    lock_dispatch(c)
    routes = dict(_choose(c, queue, capacity))
    by_route = defaultdict(list)
    for job_id, route in routes.items():
        by_route[route].append(job_id)
    dispatch_seqs: dict[int, int] = {}
    for route, ids in by_route.items():
        statement = (
            update(jobs)
            # They are locked already. With their status in the condition, SQLite would scan all
            # waiting jobs.
            .where(jobs.c.id.in_(ids))
            .values(
                status=JobStatus.DISPATCHED,
                dispatch_seq=jobs.c.dispatch_seq + 1,
                dispatched_at=now(c),
                sent_to=route or None,
            )
            .returning(jobs.c.id, jobs.c.dispatch_seq)
        )
        dispatch_seqs |= {row.id: row.dispatch_seq for row in c.execute(statement)}
    kept = _keep(c, capacity, routes, dispatch_seqs)
    return [
        Message(job_id, dispatch_seqs[job_id], route, kept.get(job_id, 0))
        for job_id, route in routes.items()
    ]


def _keep(
    c: Connection,
    capacity: DispatchCapacity,
    routes: Mapping[int, str],
    dispatch_seqs: Mapping[int, int],
) -> dict[int, int]:
    """Keep slots for the jobs on several GPUs among those that were dispatched; how many."""
    kept = {}
    for job_id, route in routes.items():
        if route in capacity.services:
            count = gpus_of(document_of(c, job_id))
            kept[job_id] = gangs.keep(
                c, capacity.services[route], job_id, dispatch_seqs[job_id], count
            )
    return kept


def lock_dispatch(c: Connection) -> None:
    """Let one transaction at a time add jobs to those in flight.

    Two that count and then add would together go above an experiment's max_running.
    """
    if c.dialect.name == "postgresql":
        c.execute(select(sa.func.pg_advisory_xact_lock(_DISPATCH_LOCK)))


def _choose(c: Connection, queue: str, capacity: DispatchCapacity) -> list[tuple[int, str]]:
    turns, at = _turns(c, queue, capacity, is_locking=True)
    chosen = choose(turns, capacity, at)
    served = {backlog.load.experiment_id for _, _, backlog in chosen}
    if served:
        c.execute(update(experiments).where(experiments.c.id.in_(served)).values(served_at=at))
        if isinstance(turns, Shared):
            fair_share.record(c, queue, at, turns)
    return [(job_id, route) for job_id, route, _ in chosen]


def _turns(
    c: Connection, queue: str, capacity: DispatchCapacity, *, is_locking: bool
) -> tuple[Ranked | Shared, float]:
    """The order of turns, and the time. Without shares no further statement is run."""
    at, is_shared = fair_share.look(c)
    waiting = backlogs.read(c, queue, capacity, is_locking=is_locking, is_of_users=is_shared)
    turns = fair_share.read(c, queue, at, waiting) if is_shared and waiting else Ranked(waiting)
    return turns, at


def order(c: Connection, queue: str, capacity: DispatchCapacity) -> list[int]:
    """The jobs that `dispatch_to` would choose for this capacity, in its order; locks nothing."""
    turns, at = _turns(c, queue, capacity, is_locking=False)
    return [job_id for job_id, _, _ in choose(turns, capacity, at)]


def turn_of(
    c: Connection, queue: str, capacity: DispatchCapacity, user: str | None, *, free: int
) -> Turn | None:
    """Which other group or user comes before the user's jobs in that order, and why."""
    turns, _ = _turns(c, queue, capacity, is_locking=False)
    if not isinstance(turns, Shared) or (user or DEFAULT) not in turns.of_user:
        return None
    return fair_share.turn_of(turns, capacity, user, free)


def redispatch(c: Connection, queue: str, older_s: float, route: str = "") -> list[int]:
    """Give jobs whose messages were lost back to the queue; an old message then claims nothing.

    The caller knows that the broker holds no message for them (docs/decisions/0001), or that no
    slot reads the route which they were sent to.
    """
    statement = (
        update(jobs)
        .where(
            jobs.c.status == JobStatus.DISPATCHED,
            jobs.c.owner.is_(None),
            jobs.c.queue == queue,
            sa.func.coalesce(jobs.c.sent_to, "") == route,
            jobs.c.dispatched_at < now(c) - older_s,
        )
        .values(status=JobStatus.QUEUED)
        .returning(jobs.c.id)
    )
    return list(c.scalars(statement))


def dispatched_queues(c: Connection) -> list[tuple[str, str]]:
    """(queue, route) of jobs whose messages should be in the broker; no route is an empty one."""
    is_sent = (jobs.c.status == JobStatus.DISPATCHED) & jobs.c.owner.is_(None)
    route = sa.func.coalesce(jobs.c.sent_to, "").label("route")
    query = select(jobs.c.queue, route).where(is_sent).distinct()
    return [(row.queue, row.route) for row in c.execute(query)]


def served_routes(c: Connection, alive_s: float) -> Collection[str]:
    """The routes that a live slot reads which is not draining."""
    query = select(workers.c.route).where(
        workers.c.ended_at.is_(None),
        workers.c.is_draining.is_(False),
        workers.c.heartbeat_at > now(c) - alive_s,
    )
    return set(c.scalars(query.distinct()))


def count_cohort(c: Connection, fuse_key: str, limit: int) -> int:
    """Jobs that may be trained in one program and wait or run; counted up to `limit`."""
    of_key = (
        select(jobs.c.id)
        .where(
            jobs.c.fuse_key == fuse_key,
            jobs.c.status.in_((JobStatus.QUEUED, JobStatus.DISPATCHED, JobStatus.RUNNING)),
        )
        .limit(limit)
        .subquery()
    )
    return int(c.execute(select(sa.func.count()).select_from(of_key)).scalar_one())
