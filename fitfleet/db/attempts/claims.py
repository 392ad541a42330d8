"""The claim that a worker has on a job, and the fence of all its writes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, and_, select

from fitfleet.db.schema.tables import jobs
from fitfleet.db.specs import specs
from fitfleet.states import JobStatus


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
    fingerprint: str | None = None  # of the dataset at submit; None: it was not visible there
    failures: int = 0  # of earlier attempts
    checkpoint_sha256: str | None = None  # None: of an older version, which kept none
    priority: int = 0
    # dispatch_seq of a cohort peer that its slot has reserved, whose attempt begins later; None:
    # the attempt has begun with the claim.
    reserved_as: int | None = None

    @property
    def key(self) -> tuple[int, int]:
        """(job id, attempt): what fences every write."""
        return (self.job_id, self.attempt)


@dataclass(frozen=True)
class Artifact:
    """The weights file of an attempt, as it lies in the storage."""

    path: str  # relative to the storage
    sha256: str
    size_bytes: int


def claim_of(job_id: int, attempt: int, worker: str) -> Claim:
    """The claim of a lost worker: only the columns of the fence."""
    return Claim(job_id, attempt, worker, "", "", "", None, None, None, None, None, 0, 0.0)


# What `claim_from` reads of a job: a driver needs time for each of its 56 columns.
JOB_COLUMNS = tuple(
    jobs.c[name]
    for name in (
        *("id", "attempt", "owner", "status", "dispatch_seq", "priority", "fuse_key"),
        *("params", "seed", "fold", "fingerprint", "timeout_s", "stall_timeout_s"),
        *("checkpoint_path", "checkpoint_epoch", "checkpoint_sha256"),
        *("memory_step", "seconds", "failures"),
    )
)


def claim_from(row: Any) -> Claim:
    """The claim that a row of JOB_COLUMNS with specs.COLUMNS and experiment stands for.

    Of a reserved job it is that of the attempt which is to begin.
    """
    is_reserved = row.status == JobStatus.DISPATCHED
    return Claim(
        job_id=row.id,
        attempt=row.attempt + is_reserved,
        worker=row.owner,
        experiment=row.name,
        spec=specs.spec_of(row),
        options=specs.options_of(row),
        checkpoint_path=row.checkpoint_path,
        checkpoint_epoch=row.checkpoint_epoch,
        fuse_key=row.fuse_key,
        timeout_s=row.timeout_s,
        stall_timeout_s=row.stall_timeout_s,
        memory_step=row.memory_step,
        seconds=row.seconds,
        fingerprint=row.fingerprint,
        failures=row.failures,
        checkpoint_sha256=row.checkpoint_sha256,
        priority=row.priority,
        reserved_as=row.dispatch_seq if is_reserved else None,
    )


def holds(claim: Claim) -> sa.ColumnElement[bool]:
    """SQL: this claim is the one that holds the job."""
    return and_(
        jobs.c.id == claim.job_id,
        jobs.c.attempt == claim.attempt,
        jobs.c.owner == claim.worker,
        jobs.c.status == JobStatus.RUNNING,
    )


def reserves(claim: Claim) -> sa.ColumnElement[bool]:
    """SQL: its slot has the job reserved, and its attempt has not begun."""
    return and_(
        jobs.c.id == claim.job_id,
        jobs.c.dispatch_seq == claim.reserved_as,
        jobs.c.owner == claim.worker,
        jobs.c.status == JobStatus.DISPATCHED,
    )


def held(c: Connection, claims: Sequence[Claim]) -> set[tuple[int, int]]:
    """The (job id, attempt) of those that hold their jobs, and will until this transaction ends."""
    owners = {(claim.job_id, claim.attempt, claim.worker) for claim in claims}
    ids = sorted({claim.job_id for claim in claims})
    rows = c.execute(_holders(c.dialect.name), {"ids": ids})
    return {
        (row.id, row.attempt)
        for row in rows
        if row.status == JobStatus.RUNNING and (row.id, row.attempt, row.owner) in owners
    }


@functools.cache
def _holders(dialect: str) -> sa.Select[Any]:
    """Cached: building the statement costs more than running it."""
    query = (
        # Asked for their status, SQLite would go through all that run.
        select(jobs.c.id, jobs.c.attempt, jobs.c.owner, jobs.c.status)
        .where(jobs.c.id.in_(sa.bindparam("ids", expanding=True)))
        .order_by(jobs.c.id)  # as in `lock`
    )
    return query.with_for_update() if dialect == "postgresql" else query


def lock(c: Connection, job_ids: Iterable[int]) -> None:
    """Lock rows for this transaction. SQLite has locked the whole database already.

    Always in the order of their numbers: two transactions that take the same rows in different
    orders would wait for each other.
    """
    wanted = sorted(set(job_ids))
    if c.dialect.name == "postgresql" and wanted:
        query = select(jobs.c.id).where(jobs.c.id.in_(wanted)).order_by(jobs.c.id)
        c.execute(query.with_for_update()).all()
