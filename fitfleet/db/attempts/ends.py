"""How an attempt ends when its job has not succeeded; fenced as all writes of a worker are.

Each returns whether the claim still held; False means that nothing was written.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select, update

from fitfleet.db import events
from fitfleet.db.accounts import webhooks
from fitfleet.db.attempts.claims import Claim, holds, lock
from fitfleet.db.dialect import storable_text
from fitfleet.db.schema.tables import attempts, jobs
from fitfleet.db.session import now, read_clock
from fitfleet.states import RETRIED, FailureClass, JobStatus, Request

_MAX_BACKOFF_S = 300.0
_MAX_MESSAGE = 4_000
_MAX_TEXT = 60_000
# What a job becomes that is not to continue when its attempt ends.
_BY_REQUEST = {Request.CANCEL: JobStatus.CANCELLED, Request.PRUNE: JobStatus.PRUNED}


def stop(
    c: Connection,
    claim: Claim,
    status: JobStatus,
    *,
    seconds: float,
    log_tail: str = "",
    phases: str | None = None,
) -> bool:
    """The job was cancelled or pruned while it ran; its checkpoint and curve stay."""
    if not _end(c, claim, status, seconds):
        return False
    _end_attempt(c, claim, status.lower(), seconds, log_tail, phases=phases)
    events.add(c, status.lower(), claim.job_id, attempt=claim.attempt, worker=claim.worker)
    return True


def release(
    c: Connection, claim: Claim, *, seconds: float, log_tail: str = "", phases: str | None = None
) -> bool:
    """Give the job back to the queue; not a failure.

    If a cancel or prune was asked for meanwhile, that is what it becomes.
    """
    lock(c, [claim.job_id])
    request = c.execute(select(jobs.c.request).where(holds(claim))).scalar()
    status = None if request is None else _BY_REQUEST.get(request)
    if status is not None:
        return stop(c, claim, status, seconds=seconds, log_tail=log_tail, phases=phases)
    if not _end(c, claim, JobStatus.QUEUED, seconds, not_before=0.0):
        return False
    _end_attempt(c, claim, "released", seconds, log_tail, phases=phases)
    events.add(c, "released", claim.job_id, attempt=claim.attempt, worker=claim.worker)
    return True


def release_to_newer(c: Connection, claim: Claim, *, above: int, detail: str) -> bool:
    """Requeue the job for workers of a newer version; not a failure."""
    if not _end(c, claim, JobStatus.QUEUED, 0.0, not_before=0.0, min_version=above + 1):
        return False
    _end_attempt(c, claim, "released", 0.0, "")
    events.add(c, "left", claim.job_id, attempt=claim.attempt, worker=claim.worker, detail=detail)
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
    storage_patience_s: float = 0.0,
    is_last: bool = False,
    phases: str | None = None,
) -> bool:
    """The attempt failed: back to the queue with backoff, or FAILED, as the class says.

    A refusal of the storage counts as a failure of the job only when the storage has refused it
    for `storage_patience_s`: an outage is not its fault. A job that would be tried again, but
    whose cancel or prune was asked for, becomes that. `is_last`: it would only fail again.
    """
    message, traceback = storable_text(message), storable_text(traceback)
    lock(c, [claim.job_id])
    query = select(
        jobs.c.failures,
        jobs.c.max_failures,
        jobs.c.refused_since,
        jobs.c.memory_step,
        jobs.c.request,
    ).where(holds(claim))
    row = c.execute(query).first()
    if row is None:
        return False
    refused_since = outage_s = None
    if failure_class is FailureClass.STORAGE:
        at = read_clock(c)
        refused_since = row.refused_since or at
        if at - refused_since < storage_patience_s:
            outage_s = at - refused_since
    failures = row.failures + (outage_s is None)
    may_retry = failure_class in RETRIED and failures < row.max_failures and not is_last
    is_retried = outage_s is not None or may_retry
    status = _BY_REQUEST.get(row.request, JobStatus.QUEUED) if is_retried else JobStatus.FAILED
    values: dict[str, Any] = {
        "failures": failures,
        "refused_since": refused_since,
        "failure_class": failure_class,
        "failure_message": message[:_MAX_MESSAGE],
        "failure_traceback": traceback[-_MAX_TEXT:],
    }
    if is_retried:
        # Both double, since an outage has lasted as long as all delays before.
        before_s = backoff_s * (2 ** (failures - 1) - 1) if outage_s is None else outage_s
        values["not_before"] = now(c) + min(_MAX_BACKOFF_S, before_s + backoff_s)
    if failure_class is FailureClass.MEMORY:
        values["memory_step"] = row.memory_step + 1
    if not _end(c, claim, status, seconds, **values):
        return False
    texts = {"message": message, "traceback": traceback, "phases": phases}
    _end_attempt(c, claim, failure_class, seconds, log_tail, **texts)
    kind = "retry" if status is JobStatus.QUEUED else status.lower()
    counted = f"{failures} of {row.max_failures}"
    count = counted if outage_s is None else f"an outage of {outage_s:.0f} s so far"
    detail = f"{failure_class} ({count}): {message[:200]}"
    events.add(c, kind, claim.job_id, attempt=claim.attempt, worker=claim.worker, detail=detail)
    return True


def _end(c: Connection, claim: Claim, status: JobStatus, seconds: float, **values: Any) -> bool:
    at = now(c)
    ended = {"finished_at": at} if status.is_terminal else {}
    updated = c.execute(
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
    if updated and status.is_terminal:
        webhooks.jobs_ended(c, [claim.job_id])
    return bool(updated)


def _end_attempt(
    c: Connection, claim: Claim, outcome: str, seconds: float, log_tail: str, **values: Any
) -> None:
    for name in ("message", "traceback"):
        if name in values:
            values[name] = values[name][-_MAX_TEXT:]
    c.execute(
        update(attempts)
        .where(*_is_attempt(claim))
        .values(
            outcome=outcome,
            ended_at=now(c),
            seconds=seconds,
            log_tail=storable_text(log_tail) or None,
            **values,
        )
    )


def _is_attempt(claim: Claim) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return (attempts.c.job_id == claim.job_id, attempts.c.attempt == claim.attempt)
