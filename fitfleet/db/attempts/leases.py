"""A worker's leases on its jobs. Every write here is fenced: id, attempt, owner, RUNNING.

A function that writes for a claim returns whether the claim still held; False means that the job
went to someone else, nothing was written, and nothing more may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, and_, bindparam, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from fitfleet.db.attempts.claims import JOB_COLUMNS, claim_from, held, holds, lock, reserves
from fitfleet.db.attempts.claims import Artifact as Artifact
from fitfleet.db.attempts.claims import Claim as Claim
from fitfleet.db.dialect import clock
from fitfleet.db.schema.tables import attempts, experiments, jobs
from fitfleet.db.session import now
from fitfleet.db.specs import specs
from fitfleet.spec.versions import installed, number_of
from fitfleet.states import JobStatus, Request

_LEFT_S = 1.0
_Start = ReturningUpdate[tuple[int, int, float]]

# What each claim executes is made once: SQLAlchemy takes longer to make a statement and the key of
# its cache than the database to execute it.
_OF_MESSAGE = and_(
    jobs.c.id == bindparam("message_job"),
    jobs.c.dispatch_seq == bindparam("message_number"),
    jobs.c.status == JobStatus.DISPATCHED,
)
_CLAIMS = (
    specs.join(select(*JOB_COLUMNS, *specs.COLUMNS, experiments.c.name))
    .join(experiments, experiments.c.id == jobs.c.experiment_id)
    .where(jobs.c.id.in_(bindparam("claimed_jobs", expanding=True)))
    .order_by(jobs.c.id)
)


def claim(
    c: Connection, job_id: int, dispatch_seq: int, worker: str, lease_s: float
) -> Claim | None:
    """Take a dispatched job. None: a duplicate or outdated message, or a cancelled job.

    One that needs a newer fitfleet goes back to the queue.
    """
    message = {
        "message_job": job_id,
        "message_number": dispatch_seq,
        "this_version": number_of(installed()),
    }
    started = _execute_start(c, _start_by_message(c.dialect.name), worker, lease_s, message)
    if not started:
        _requeue_for_newer(c, message)
        return None
    return next(iter(claims_of(c, started)), None)


def is_readable() -> sa.ColumnElement[bool]:
    """SQL: this version of fitfleet may run the job."""
    return jobs.c.min_version <= number_of(installed())


def _requeue_for_newer(c: Connection, message: dict[str, int]) -> None:
    """Requeue a job for newer workers, with a delay in which they can take it."""
    values = {"status": JobStatus.QUEUED, "not_before": now(c) + _LEFT_S}
    is_newer = jobs.c.min_version > bindparam("this_version")
    c.execute(update(jobs).where(_OF_MESSAGE, is_newer).values(values), message)


def start_attempts(
    c: Connection, condition: sa.ColumnElement[bool], worker: str, lease_s: float
) -> dict[int, int]:
    """Start the jobs that meet the condition; job id -> number of the new attempt."""
    return _execute_start(c, _start(now(c), condition), worker, lease_s, {})


@cache
def _start_by_message(dialect: str) -> _Start:
    condition = _OF_MESSAGE & (jobs.c.min_version <= bindparam("this_version"))
    return _start(clock(dialect), condition)


def _start(at: sa.ColumnElement[float], condition: sa.ColumnElement[bool]) -> _Start:
    return (
        update(jobs)
        .where(condition)
        .values(
            status=JobStatus.RUNNING,
            attempt=jobs.c.attempt + 1,
            owner=bindparam("claimed_by"),
            lease_until=at + bindparam("lease_s"),
            progress_at=at,
            started_at=sa.func.coalesce(jobs.c.started_at, at),
            request=None,
        )
        .returning(jobs.c.id, jobs.c.attempt, jobs.c.progress_at)
    )


def _execute_start(
    c: Connection, statement: _Start, worker: str, lease_s: float, given: dict[str, int]
) -> dict[int, int]:
    updated = c.execute(statement, {"claimed_by": worker, "lease_s": lease_s, **given}).all()
    if updated:
        c.execute(
            attempts.insert(),
            [
                {
                    "job_id": row.id,
                    "attempt": row.attempt,
                    "worker": worker,
                    "started_at": row.progress_at,  # the time of the UPDATE, without another query
                }
                for row in updated
            ],
        )
    return {row.id: row.attempt for row in updated}


def claims_of(c: Connection, job_ids: Iterable[int]) -> list[Claim]:
    """The claims of jobs that are held or reserved by now, by number."""
    return [claim_from(row) for row in c.execute(_CLAIMS, {"claimed_jobs": list(job_ids)})]


def heartbeat(
    c: Connection,
    claims: Iterable[Claim],
    lease_s: float,
    progressed: Iterable[tuple[int, int]] = (),
) -> dict[tuple[int, int], Request | None]:
    """Extend the leases; (job id, attempt) -> its request, if any. A missing one was lost.

    `progressed` are the claims whose fit has advanced since the last call. A job that is reserved
    is known by the attempt that is to begin, so that it may begin meanwhile.
    """
    extended = list(claims)
    if not extended:
        return {}
    at = now(c)
    lock(c, (claim.job_id for claim in extended))
    waiting = [reserves(claim) for claim in extended if claim.reserved_as is not None]
    statement = (
        update(jobs)
        .where(or_(*(holds(claim) for claim in extended), *waiting))
        .values(lease_until=at + lease_s)
        .returning(jobs.c.id, jobs.c.attempt, jobs.c.status, jobs.c.request)
    )
    requests = {
        (row.id, row.attempt + (row.status == JobStatus.DISPATCHED)): (
            Request(row.request) if row.request else None
        )
        for row in c.execute(statement)
    }
    moved = [claim for claim in extended if claim.key in set(progressed)]
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
    held_keys = held(c, [claim for claim, _ in rows])
    alike: dict[tuple[int, tuple[tuple[str, Any], ...]], list[int]] = {}
    for claim, values in rows:
        if claim.key in held_keys:
            alike.setdefault((claim.attempt, tuple(values.items())), []).append(claim.job_id)
    for (attempt, columns), ids in alike.items():
        # Not as pairs, for which SQLite would read every attempt there is.
        condition = attempts.c.job_id.in_(ids) & (attempts.c.attempt == attempt)
        c.execute(update(attempts).where(condition).values(dict(columns)))
        of_job = {name: value for name, value in columns if name in ("engine", "engine_reason")}
        if of_job:
            c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(of_job))
    return held_keys
