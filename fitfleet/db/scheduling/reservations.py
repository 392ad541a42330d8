"""Cohort peers that a slot has reserved: DISPATCHED, with an owner and a lease, not a message.

Their attempts begin when their turn comes. Before that they can go back to the queue, and nothing
of them is counted: no attempt, no failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, or_, select, update

from fitfleet.db.accounts import users
from fitfleet.db.attempts.claims import Claim, lock, reserves
from fitfleet.db.attempts.leases import claims_of, is_readable, start_attempts
from fitfleet.db.fleet import capacity, gang_slot_state
from fitfleet.db.fleet.dispatch_capacity import on_route, unlimited
from fitfleet.db.scheduling import dispatch
from fitfleet.db.schema.tables import attempts, experiments, gang_slots, jobs, workers
from fitfleet.db.session import now
from fitfleet.db.specs.requirements import document_of
from fitfleet.states import JobStatus

# What a job is that is neither held, reserved nor on its way.
WAITING: dict[str, Any] = {"status": JobStatus.QUEUED, "owner": None, "lease_until": None}


def reserve(c: Connection, leader: Claim, lease_s: float, limit: int) -> list[Claim]:
    """Reserve up to `limit` waiting jobs that may be trained in one program with the leader.

    They are DISPATCHED, with an owner and a lease, and no attempt begins yet. Same fuse key, queue
    and requirements, experiment not paused and below its max_running. Only jobs that have never
    failed: one that kills its worker would take the others with it, each time again.
    """
    if limit <= 0 or leader.fuse_key is None or leader.failures:
        return []
    of_leader = (
        select(
            jobs.c.experiment_id,
            jobs.c.queue,
            jobs.c.requirement_id,
            jobs.c.needs_bytes,
            experiments.c.is_paused,
        )
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(jobs.c.id == leader.job_id)
    )
    row = c.execute(of_leader).one()
    if row.is_paused:
        return []
    room = _room(c, row.experiment_id, row.queue)
    queued = _peers(c, leader, row, JobStatus.QUEUED, limit if room is None else min(limit, room))
    dispatched = _peers(c, leader, row, JobStatus.DISPATCHED, limit)
    # A dispatched one is better left to its message, which another child may be waiting for.
    waiting = [*queued, *dispatched]  # each in its order, which `sorted` keeps
    ids = [peer.id for peer in sorted(waiting, key=lambda peer: -peer.priority)[:limit]]
    if not ids:
        return []
    at = now(c)
    values = {
        "status": JobStatus.DISPATCHED,
        "dispatch_seq": jobs.c.dispatch_seq + 1,  # a message that is still about claims nothing
        "dispatched_at": at,
        "owner": leader.worker,
        "lease_until": at + lease_s,
        "needs_bytes": row.needs_bytes,  # of all of them
    }
    c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(values))
    return claims_of(c, ids)


def _peers(c: Connection, leader: Claim, row: Any, status: JobStatus, limit: int) -> Sequence[Any]:
    """The first waiting peers in that state, in the order of an index, locked against others."""
    query = (
        select(jobs.c.priority, jobs.c.id)
        .where(
            jobs.c.fuse_key == leader.fuse_key,
            jobs.c.status == status,
            jobs.c.owner.is_(None),  # not reserved by another
            jobs.c.experiment_id == row.experiment_id,
            jobs.c.queue == row.queue,
            jobs.c.requirement_id == row.requirement_id,
            jobs.c.not_before <= now(c),
            jobs.c.memory_step == 0,
            jobs.c.failures == 0,
            is_readable(),
        )
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(limit)
    )
    if c.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    return c.execute(query).all()


def _room(c: Connection, experiment_id: int, queue: str) -> int | None:
    """How many more jobs of the experiment may be in flight; None: no limit."""
    rooms = [_room_of_experiment(c, experiment_id), users.room(c, experiment_id, queue)]
    if rooms[1] is not None:
        dispatch.lock_dispatch(c)
        rooms[1] = users.room(c, experiment_id, queue)
    return min((room for room in rooms if room is not None), default=None)


def _room_of_experiment(c: Connection, experiment_id: int) -> int | None:
    limit = select(experiments.c.max_running).where(experiments.c.id == experiment_id)
    max_running = c.execute(limit).scalar()
    if max_running is None:
        return None
    dispatch.lock_dispatch(c)
    in_flight = select(sa.func.count()).where(
        jobs.c.status.in_((JobStatus.RUNNING, JobStatus.DISPATCHED)),
        jobs.c.experiment_id == experiment_id,
    )
    return max(0, int(max_running) - int(c.execute(in_flight).scalar_one()))


def begin(c: Connection, claims: Sequence[Claim], lease_s: float) -> set[tuple[int, int]]:
    """Begin the attempts of reserved jobs of one slot; (job id, attempt) of those that still were.

    The others went elsewhere, and nothing may be written for them.
    """
    if not claims:
        return set()
    lock(c, (claim.job_id for claim in claims))
    condition = or_(*(reserves(claim) for claim in claims))
    return set(start_attempts(c, condition, claims[0].worker, lease_s).items())


def backfilled_job(c: Connection, slot: str) -> int | None:
    """The job that is reserved for a slot although that is kept for another (db/backfill)."""
    of_gang = select(gang_slots.c.job_id).where(gang_slots.c.slot == slot)
    condition = (jobs.c.owner == slot) & gang_slot_state.is_waiting() & jobs.c.id.not_in(of_gang)
    return c.execute(select(jobs.c.id).where(condition).limit(1)).scalar()


def begin_kept(c: Connection, slot: str, job_id: int, lease_s: float) -> Claim | None:
    """Begin the job that a slot was kept for, or that was lent it until then (db/backfill).

    None if it is reserved for this slot no more, or one on several GPUs lacks one of them.
    """
    lock(c, [job_id])
    gpus, is_ready = gang_slot_state.gpus_of(c, job_id)
    if not is_ready:
        return None
    reserved = (jobs.c.id == job_id) & (jobs.c.owner == slot) & gang_slot_state.is_waiting()
    if c.execute(select(jobs.c.id).where(reserved)).first() is None:
        return None
    started = begin(c, claims_of(c, [job_id]), lease_s)
    for _, attempt in started if gpus > 1 else ():
        condition = (attempts.c.job_id == job_id) & (attempts.c.attempt == attempt)
        c.execute(update(attempts).where(condition).values(gpus=gpus))
    return next(iter(claims_of(c, [job_id])), None) if started else None


def hand_back(c: Connection, claims: Sequence[Claim]) -> set[tuple[int, int]]:
    """Give jobs whose attempts have not begun back to the queue; (job id, attempt) of those."""
    if not claims:
        return set()
    lock(c, (claim.job_id for claim in claims))
    condition = or_(*(reserves(claim) for claim in claims))
    ids = set(c.scalars(update(jobs).where(condition).values(WAITING).returning(jobs.c.id)))
    return {claim.key for claim in claims if claim.job_id in ids}


def hand_back_of(c: Connection, slots: Sequence[str]) -> list[int]:
    """Give all that is reserved by slots which are gone back to the queue; the jobs' ids."""
    return _requeue(c, jobs.c.owner.in_(slots))


def requeue_expired(c: Connection) -> list[int]:
    """Give jobs back to the queue whose slot has not been heard of for a lease; their ids."""
    return _requeue(c, jobs.c.lease_until < now(c))


def _requeue(c: Connection, condition: sa.ColumnElement[bool]) -> list[int]:
    query = select(jobs.c.id).where(jobs.c.status == JobStatus.DISPATCHED, condition)
    query = query.order_by(jobs.c.id)
    if c.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    ids = list(c.scalars(query))
    if ids:
        c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(WAITING))
    return ids


def surplus(
    c: Connection, queue: str, reserved: Sequence[Claim], unfinished: int, lease_s: float
) -> list[Claim]:
    """Which reserved jobs of a slot had better be elsewhere, by what the dispatcher sees.

    While no slot is free where they fit, those with a lower priority than another that waits for
    this slot. While one is, and nothing else is there for it, what is above the slot's share of the
    cohort; `unfinished` are all of the slot's own, those it trains included.
    """
    whole = next((load for load in capacity.loads(c, lease_s) if load.queue == queue), None)
    if whole is None:
        return []
    load = whole.of_groups(document_of(c, reserved[0].job_id))
    if load is None or load.free == 0:
        route = _route(c, reserved[0].worker)
        first = dispatch.order(c, queue, on_route(unlimited(c, queue, whole, 1), route))
        priority = _highest(c, queue, route, first)
        return [job for job in reserved if priority is not None and job.priority < priority]
    first = dispatch.order(c, queue, unlimited(c, queue, load, 1))
    fuse_key = reserved[0].fuse_key
    if first or load.dispatched >= load.free or fuse_key is None:
        return []
    count = dispatch.count_cohort(c, fuse_key, unfinished * load.slots)
    share = -(-count // load.slots)
    return list(reserved[len(reserved) - max(0, min(len(reserved), unfinished - share)) :])


def _route(c: Connection, slot: str) -> str:
    return str(c.execute(select(workers.c.route).where(workers.c.id == slot)).scalar() or "")


def _highest(c: Connection, queue: str, route: str, first: Sequence[int]) -> int | None:
    """The priority of the first job in the line, or of one whose message waits in the broker."""
    is_near = sa.func.coalesce(jobs.c.sent_to, "").in_(("", route))
    sent = (jobs.c.status == JobStatus.DISPATCHED) & (jobs.c.queue == queue) & is_near
    query = select(sa.func.max(jobs.c.priority)).where(
        (sent & jobs.c.owner.is_(None)) | jobs.c.id.in_(first)
    )
    priority = c.execute(query).scalar()
    return None if priority is None else int(priority)
