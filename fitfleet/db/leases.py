"""A worker's hold on its jobs. Every write here is fenced: id, attempt, owner, RUNNING.

A function that writes for a claim returns whether the claim still held; False means that the job
went to someone else, nothing was written, and nothing more may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, and_, or_, select, update

from fitfleet.db.claims import Artifact as Artifact
from fitfleet.db.claims import Claim as Claim
from fitfleet.db.claims import claim_from, held, holds, lock
from fitfleet.db.dispatch import lock_dispatch
from fitfleet.db.session import now
from fitfleet.db.tables import attempts, experiments, job_specs, jobs
from fitfleet.states import JobStatus, Request


def claim(
    c: Connection, job_id: int, dispatch_seq: int, worker: str, lease_s: float
) -> Claim | None:
    """Take a dispatched job. None: a duplicate or outdated message, or a cancelled job."""
    which = and_(
        jobs.c.id == job_id,
        jobs.c.dispatch_seq == dispatch_seq,
        jobs.c.status == JobStatus.DISPATCHED,
    )
    return next(iter(_take(c, which, worker, lease_s)), None)


def claim_peers(c: Connection, leader: Claim, lease_s: float, limit: int) -> list[Claim]:
    """Take up to `limit` waiting jobs that may be trained in one program with the leader.

    Same fuse key and queue, experiment not paused and below its max_running. Only jobs that have
    never failed: one that kills its worker would take the others with it, each time again.
    """
    if limit <= 0 or leader.fuse_key is None or leader.failures:
        return []
    of_leader = (
        select(jobs.c.experiment_id, jobs.c.queue, experiments.c.is_paused)
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(jobs.c.id == leader.job_id)
    )
    row = c.execute(of_leader).one()
    if row.is_paused:
        return []
    room = _room(c, row.experiment_id)
    queued = _peers(c, leader, row, JobStatus.QUEUED, limit if room is None else min(limit, room))
    dispatched = _peers(c, leader, row, JobStatus.DISPATCHED, limit)
    # A dispatched one is better left to its message, which another child may be waiting for.
    waiting = [*queued, *dispatched]  # each in its order, which `sorted` keeps
    ids = [peer.id for peer in sorted(waiting, key=lambda peer: -peer.priority)[:limit]]
    return _take(c, jobs.c.id.in_(ids), leader.worker, lease_s) if ids else []


def _peers(c: Connection, leader: Claim, row: Any, status: JobStatus, limit: int) -> Sequence[Any]:
    """The first waiting peers in that state, in the order of an index, locked against others."""
    query = (
        select(jobs.c.priority, jobs.c.id)
        .where(
            jobs.c.fuse_key == leader.fuse_key,
            jobs.c.status == status,
            jobs.c.experiment_id == row.experiment_id,
            jobs.c.queue == row.queue,
            jobs.c.not_before <= now(c),
            jobs.c.memory_step == 0,
            jobs.c.failures == 0,
        )
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(limit)
    )
    if c.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    return c.execute(query).all()


def _room(c: Connection, experiment_id: int) -> int | None:
    """How many more jobs of the experiment may be in flight; None: no limit."""
    limit = select(experiments.c.max_running).where(experiments.c.id == experiment_id)
    max_running = c.execute(limit).scalar()
    if max_running is None:
        return None
    lock_dispatch(c)
    in_flight = select(sa.func.count()).where(
        jobs.c.status.in_((JobStatus.RUNNING, JobStatus.DISPATCHED)),
        jobs.c.experiment_id == experiment_id,
    )
    return max(0, int(max_running) - int(c.execute(in_flight).scalar_one()))


def _take(c: Connection, which: sa.ColumnElement[bool], worker: str, lease_s: float) -> list[Claim]:
    """Claim the jobs `which`; those that it names by number were locked as they were chosen."""
    at = now(c)
    statement = (
        update(jobs)
        .where(which)
        .values(
            status=JobStatus.RUNNING,
            attempt=jobs.c.attempt + 1,
            owner=worker,
            lease_until=at + lease_s,
            progress_at=at,
            started_at=sa.func.coalesce(jobs.c.started_at, at),
            request=None,
        )
        .returning(jobs.c.id, jobs.c.attempt)
    )
    won = {row.id: row.attempt for row in c.execute(statement)}
    if not won:
        return []
    clock = c.execute(select(at)).scalar_one()
    c.execute(
        attempts.insert(),
        [
            {"job_id": job_id, "attempt": attempt, "worker": worker, "started_at": clock}
            for job_id, attempt in won.items()
        ],
    )
    query = (
        select(jobs, job_specs.c.spec, job_specs.c.options, experiments.c.name)
        .join(job_specs, job_specs.c.job_id == jobs.c.id)
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(jobs.c.id.in_(won))
        .order_by(jobs.c.id)
    )
    return [claim_from(row) for row in c.execute(query)]


def heartbeat(
    c: Connection,
    claims: Iterable[Claim],
    lease_s: float,
    progressed: Iterable[tuple[int, int]] = (),
) -> dict[tuple[int, int], Request | None]:
    """Extend the leases; (job id, attempt) -> what is asked of it. A missing one was lost.

    `progressed` are the claims whose fit has advanced since the last call.
    """
    mine = list(claims)
    if not mine:
        return {}
    at = now(c)
    lock(c, (claim.job_id for claim in mine))
    which = or_(*(holds(claim) for claim in mine))
    statement = (
        update(jobs)
        .where(which)
        .values(lease_until=at + lease_s)
        .returning(jobs.c.id, jobs.c.attempt, jobs.c.request)
    )
    requests = {
        (row.id, row.attempt): Request(row.request) if row.request else None
        for row in c.execute(statement)
    }
    moved = [claim for claim in mine if claim.key in set(progressed)]
    if moved:
        c.execute(
            update(jobs).where(or_(*(holds(claim) for claim in moved))).values(progress_at=at)
        )
    return requests


def describe_attempts(
    c: Connection, rows: Sequence[tuple[Claim, dict[str, Any]]]
) -> set[tuple[int, int]]:
    """Record what is known of running attempts: environment, first_epoch, engine, ...

    (job id, attempt) of those that held.
    """
    won = held(c, [claim for claim, _ in rows])
    alike: dict[tuple[int, tuple[tuple[str, Any], ...]], list[int]] = {}
    for claim, values in rows:
        if claim.key in won:
            alike.setdefault((claim.attempt, tuple(values.items())), []).append(claim.job_id)
    for (attempt, columns), ids in alike.items():
        # Not as pairs, for which SQLite would read every attempt there is.
        which = attempts.c.job_id.in_(ids) & (attempts.c.attempt == attempt)
        c.execute(update(attempts).where(which).values(dict(columns)))
        of_job = {name: value for name, value in columns if name in ("engine", "engine_reason")}
        if of_job:
            c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(of_job))
    return won
