"""A worker's hold on its jobs. Every write here is fenced: id, attempt, owner, RUNNING.

A function that writes for a claim returns whether the claim still held; False means that the job
went to someone else, nothing was written, and nothing more may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, and_, or_, select, update

from fitfleet.db import events
from fitfleet.db.session import now
from fitfleet.db.tables import attempts, experiments, job_specs, jobs
from fitfleet.states import RETRIED, FailureClass, JobStatus, Request

_BACKOFF_MOST_S = 300.0
_MESSAGE_MOST = 4_000
_TEXT_MOST = 60_000


@dataclass(frozen=True)
class Claim:
    """A job held by a worker, with all that is needed to run it."""

    job_id: int
    attempt: int
    worker: str
    experiment: str
    spec: str  # canonical JSON of spec.JobSpec
    options: str  # canonical JSON of spec.JobOptions
    checkpoint_path: str | None  # relative to the storage
    checkpoint_epoch: int | None
    fuse_key: str | None
    timeout_s: float | None
    stall_timeout_s: float | None
    memory_step: int
    seconds: float  # spent in earlier attempts


@dataclass(frozen=True)
class Artifact:
    """The weights file of an attempt, as it lies in the storage."""

    path: str  # relative to the storage
    sha256: str
    size_bytes: int


def holds(claim: Claim) -> sa.ColumnElement[bool]:
    """SQL: this claim is the one that holds the job."""
    return and_(
        jobs.c.id == claim.job_id,
        jobs.c.attempt == claim.attempt,
        jobs.c.owner == claim.worker,
        jobs.c.status == JobStatus.RUNNING,
    )


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


def claim_mates(c: Connection, leader: Claim, lease_s: float, limit: int) -> list[Claim]:
    """Take up to `limit` waiting jobs that may be trained in one program with the leader.

    Same fuse key and queue, experiment not paused and below its max_running, backoff over.
    """
    if limit <= 0 or leader.fuse_key is None:
        return []
    experiment = select(jobs.c.experiment_id, jobs.c.queue).where(jobs.c.id == leader.job_id)
    own = c.execute(experiment).one()
    room = _room(c, own.experiment_id)
    candidates = (
        select(jobs.c.id)
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(
            jobs.c.fuse_key == leader.fuse_key,
            jobs.c.status.in_((JobStatus.QUEUED, JobStatus.DISPATCHED)),
            jobs.c.queue == own.queue,
            jobs.c.experiment_id == own.experiment_id,
            jobs.c.not_before <= now(c),
            jobs.c.memory_step == 0,
            experiments.c.is_paused.is_(False),
        )
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(limit if room is None else min(limit, room))
    )
    if c.dialect.name == "postgresql":
        candidates = candidates.with_for_update(skip_locked=True, of=jobs)
    ids = list(c.scalars(candidates))
    if not ids:
        return []
    waiting = jobs.c.status.in_((JobStatus.QUEUED, JobStatus.DISPATCHED))
    return _take(c, and_(jobs.c.id.in_(ids), waiting), leader.worker, lease_s)


def _room(c: Connection, experiment_id: int) -> int | None:
    most = c.execute(
        select(experiments.c.max_running).where(experiments.c.id == experiment_id)
    ).scalar()
    if most is None:
        return None
    running = c.execute(
        select(sa.func.count()).where(
            jobs.c.status == JobStatus.RUNNING, jobs.c.experiment_id == experiment_id
        )
    ).scalar_one()
    return max(0, int(most) - int(running))


def _take(c: Connection, which: sa.ColumnElement[bool], worker: str, lease_s: float) -> list[Claim]:
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
    return [_claim(row) for row in c.execute(query)]


def _claim(row: Any) -> Claim:
    return Claim(
        job_id=row.id,
        attempt=row.attempt,
        worker=row.owner,
        experiment=row.name,
        spec=row.spec,
        options=row.options,
        checkpoint_path=row.checkpoint_path,
        checkpoint_epoch=row.checkpoint_epoch,
        fuse_key=row.fuse_key,
        timeout_s=row.timeout_s,
        stall_timeout_s=row.stall_timeout_s,
        memory_step=row.memory_step,
        seconds=row.seconds,
    )


def heartbeat(
    c: Connection,
    claims: Iterable[Claim],
    lease_s: float,
    progressed: Iterable[tuple[int, int]] = (),
) -> dict[tuple[int, int], Request | None]:
    """Extend the leases; (job id, attempt) -> what is asked of it. A missing one was lost.

    `progressed` are the claims whose fit has advanced since the last call.
    """
    held = list(claims)
    if not held:
        return {}
    at = now(c)
    which = or_(*(holds(one) for one in held))
    statement = (
        update(jobs)
        .where(which)
        .values(lease_until=at + lease_s)
        .returning(jobs.c.id, jobs.c.attempt, jobs.c.request)
    )
    found = {
        (row.id, row.attempt): Request(row.request) if row.request else None
        for row in c.execute(statement)
    }
    moved = [one for one in held if (one.job_id, one.attempt) in set(progressed)]
    if moved:
        c.execute(update(jobs).where(or_(*(holds(one) for one in moved))).values(progress_at=at))
    return found


def describe_attempt(c: Connection, claim: Claim, **values: Any) -> bool:
    """Record what is known of the running attempt: environment, first_epoch, engine, ..."""
    if not _still_holds(c, claim):
        return False
    c.execute(update(attempts).where(*_own(claim)).values(**values))
    engine = {k: v for k, v in values.items() if k in ("engine", "engine_reason")}
    if engine:
        c.execute(update(jobs).where(holds(claim)).values(**engine))
    return True


def _still_holds(c: Connection, claim: Claim) -> bool:
    query = select(jobs.c.id).where(holds(claim))
    if c.dialect.name == "postgresql":
        query = query.with_for_update()
    return c.execute(query).first() is not None


def commit(
    c: Connection,
    claim: Claim,
    artifact: Artifact,
    *,
    epoch: int,
    seconds: float,
    log_tail: str = "",
    memory_peak_bytes: int | None = None,
    parameters: int | None = None,
) -> bool:
    """The job has succeeded with these weights. `seconds` is the time of this attempt."""
    values: dict[str, Any] = {
        "artifact_path": artifact.path,
        "artifact_sha256": artifact.sha256,
        "artifact_bytes": artifact.size_bytes,
        "epoch": epoch,
        "failure_class": None,
        "failure_message": None,
        "failure_traceback": None,
    }
    if parameters is not None:
        values["parameters"] = parameters
    if not _end(c, claim, JobStatus.SUCCEEDED, seconds, **values):
        return False
    _end_attempt(c, claim, "succeeded", seconds, log_tail, memory_peak_bytes=memory_peak_bytes)
    return True


def stop(
    c: Connection, claim: Claim, status: JobStatus, *, seconds: float, log_tail: str = ""
) -> bool:
    """The job was cancelled or pruned while it ran; its checkpoint and curve stay."""
    if not _end(c, claim, status, seconds):
        return False
    _end_attempt(c, claim, status.lower(), seconds, log_tail)
    events.add(c, status.lower(), claim.job_id, attempt=claim.attempt, worker=claim.worker)
    return True


def release(c: Connection, claim: Claim, *, seconds: float, log_tail: str = "") -> bool:
    """Give the job back to the queue; not a failure."""
    if not _end(c, claim, JobStatus.QUEUED, seconds, not_before=0.0):
        return False
    _end_attempt(c, claim, "released", seconds, log_tail)
    events.add(c, "released", claim.job_id, attempt=claim.attempt, worker=claim.worker)
    return True


def fail(
    c: Connection,
    claim: Claim,
    failure_class: FailureClass,
    message: str,
    traceback: str = "",
    log_tail: str = "",
    *,
    seconds: float = 0.0,
    backoff_s: float = 5.0,
) -> bool:
    """The attempt failed: back to the queue with backoff, or FAILED, as the class says."""
    row = c.execute(
        select(jobs.c.failures, jobs.c.max_failures, jobs.c.memory_step).where(holds(claim))
    ).first()
    if row is None:
        return False
    failures = row.failures + 1
    is_retried = failure_class in RETRIED and failures < row.max_failures
    status = JobStatus.QUEUED if is_retried else JobStatus.FAILED
    values: dict[str, Any] = {
        "failures": failures,
        "failure_class": failure_class,
        "failure_message": message[:_MESSAGE_MOST],
        "failure_traceback": traceback[-_TEXT_MOST:],
    }
    if is_retried:
        delay = min(_BACKOFF_MOST_S, backoff_s * 2 ** (failures - 1))
        values["not_before"] = now(c) + delay
    if failure_class is FailureClass.MEMORY:
        values["memory_step"] = row.memory_step + 1
    if not _end(c, claim, status, seconds, **values):
        return False
    _end_attempt(c, claim, failure_class, seconds, log_tail, message=message, traceback=traceback)
    kind = "retry" if is_retried else "failed"
    detail = f"{failure_class} ({failures} of {row.max_failures}): {message[:200]}"
    events.add(c, kind, claim.job_id, attempt=claim.attempt, worker=claim.worker, detail=detail)
    return True


def _end(c: Connection, claim: Claim, status: JobStatus, seconds: float, **values: Any) -> bool:
    at = now(c)
    ended = {"finished_at": at} if status.is_terminal else {}
    won = c.execute(
        update(jobs)
        .where(holds(claim))
        .values(
            status=status,
            owner=None,
            lease_until=None,
            request=None,
            seconds=jobs.c.seconds + seconds,
            **ended,
            **values,
        )
    ).rowcount
    return bool(won)


def _end_attempt(
    c: Connection, claim: Claim, outcome: str, seconds: float, log_tail: str, **values: Any
) -> None:
    for name in ("message", "traceback"):
        if name in values:
            values[name] = values[name][-_TEXT_MOST:]
    c.execute(
        update(attempts)
        .where(*_own(claim))
        .values(
            outcome=outcome, ended_at=now(c), seconds=seconds, log_tail=log_tail or None, **values
        )
    )


def _own(claim: Claim) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return (attempts.c.job_id == claim.job_id, attempts.c.attempt == claim.attempt)
