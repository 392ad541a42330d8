"""The ends of fitted jobs, any number in one transaction, fenced like every write of a worker."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection, Double, Integer, Text, bindparam, select, update

from fitfleet.db.accounts import webhooks
from fitfleet.db.attempts import memory
from fitfleet.db.attempts.claims import Artifact, Claim, held
from fitfleet.db.attempts.memory import Measurement
from fitfleet.db.attempts.metrics import EpochMetrics, score_rows, write_epochs, write_scores
from fitfleet.db.dialect import storable_text
from fitfleet.db.schema.tables import attempts, jobs, metrics
from fitfleet.db.session import now
from fitfleet.states import JobStatus


@dataclass(frozen=True)
class Success:
    """A fit that has reached its end."""

    claim: Claim
    artifact: Artifact
    epoch: int
    seconds: float  # of this attempt
    log_tail: str = ""
    memory_peak_bytes: int | None = None
    parameters: int | None = None
    checkpoint_path: str | None = None  # what `extend` resumes from; None: as the row says
    checkpoint_sha256: str | None = None  # of another file than the artifact
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by source
    kept_epoch: int | None = None  # whose weights the artifact holds; None: the last one's
    stopped_by: str | None = None  # budget: before its last epoch
    nan_epoch: int | None = None  # the first whose loss was not finite
    train_seconds: float | None = None  # of all epochs, without tracing
    memory: Measurement | None = None
    phases: str | None = None  # JSON of worker.timeline; None: no traces are kept


def record(
    c: Connection, rows: Sequence[Success], epochs: Sequence[EpochMetrics] = ()
) -> set[tuple[int, int]]:
    """The jobs have succeeded with these weights; (job id, attempt) of those that held.

    `epochs` are metrics of theirs that may not be written yet.

    One counts as well if this very attempt has committed these weights before: after a cut
    connection nobody knows, so the caller asks again.
    """
    held_keys = held(c, [row.claim for row in rows])
    held_rows = [row for row in rows if row.claim.key in held_keys]
    if held_rows:
        of_jobs, of_metrics, of_attempts = _statements(str(now(c)))
        values = [_values(row) for row in held_rows]
        write_epochs(c, [row for row in epochs if row.claim.key in held_keys])
        c.execute(of_jobs, values)
        # An earlier attempt may have come further, where a fit is not repeatable to the bit.
        c.execute(of_metrics, {"ids": [row.claim.job_id for row in held_rows]})
        c.execute(of_attempts, values)
        webhooks.jobs_ended(c, [row.claim.job_id for row in held_rows])
        scored = [(row.claim, *scores) for row in held_rows for scores in row.scores.items()]
        write_scores(
            c,
            [
                line
                for claim, source, values_of_source in scored
                for line in score_rows(claim, values_of_source, source)
            ],
        )
        memory.record(c, [row.memory for row in held_rows if row.memory is not None])
    lost = [row for row in rows if row.claim.key not in held_keys]
    return held_keys | {row.claim.key for row in lost if _has_committed(c, row)}


@functools.cache
def _statements(at: str) -> tuple[Any, Any, Any]:
    """Cached: building the statement costs more than running it."""
    clock: sa.ColumnElement[float] = sa.literal_column(at, Double())
    reached = select(jobs.c.epoch).where(jobs.c.id == metrics.c.job_id).scalar_subquery()
    of_metrics = metrics.delete().where(
        metrics.c.job_id.in_(bindparam("ids", expanding=True)), metrics.c.epoch > reached
    )
    of_attempts = (
        update(attempts)
        .where(attempts.c.job_id == bindparam("of"), attempts.c.attempt == bindparam("number"))
        .values(
            outcome="succeeded",
            ended_at=clock,
            seconds=bindparam("spent"),
            log_tail=bindparam("tail"),
            memory_peak_bytes=bindparam("peak"),
            phases=bindparam("phases", type_=Text()),
        )
    )
    return _of_jobs(clock), of_metrics, of_attempts


def _of_jobs(clock: sa.ColumnElement[float]) -> Any:
    checkpoint = bindparam("checkpoint", type_=Text())
    return (
        update(jobs)
        .where(jobs.c.id == bindparam("of"), jobs.c.attempt == bindparam("number"))
        .values(
            status=JobStatus.SUCCEEDED,
            owner=None,
            lease_until=None,
            request=None,
            finished_at=clock,
            progress_at=clock,
            seconds=jobs.c.seconds + bindparam("spent"),
            train_seconds=bindparam("trained", type_=Double()),
            artifact_path=bindparam("path"),
            artifact_sha256=bindparam("sha256"),
            artifact_bytes=bindparam("size"),
            epoch=bindparam("last"),
            kept_epoch=bindparam("kept"),
            stopped_by=bindparam("stopped", type_=Text()),
            nan_epoch=bindparam("nan", type_=Integer()),
            parameters=sa.func.coalesce(
                bindparam("weights", type_=BigInteger()), jobs.c.parameters
            ),
            checkpoint_path=sa.func.coalesce(checkpoint, jobs.c.checkpoint_path),
            checkpoint_epoch=sa.case(
                (checkpoint.is_(None), jobs.c.checkpoint_epoch),
                else_=bindparam("last", type_=Integer()),
            ),
            checkpoint_sha256=sa.case(
                (checkpoint.is_(None), jobs.c.checkpoint_sha256),
                else_=bindparam("checkpoint_sha256", type_=Text()),
            ),
            failure_class=None,
            failure_message=None,
            failure_traceback=None,
        )
    )


def _values(row: Success) -> dict[str, Any]:
    is_artifact = row.checkpoint_path == row.artifact.path
    return {
        "of": row.claim.job_id,
        "number": row.claim.attempt,
        "spent": row.seconds,
        "trained": row.train_seconds,
        "path": row.artifact.path,
        "sha256": row.artifact.sha256,
        "size": row.artifact.size_bytes,
        "last": row.epoch,
        "kept": row.epoch if row.kept_epoch is None else row.kept_epoch,
        "stopped": row.stopped_by,
        "nan": row.nan_epoch,
        "weights": row.parameters,
        "checkpoint": row.checkpoint_path,
        "checkpoint_sha256": row.artifact.sha256 if is_artifact else row.checkpoint_sha256,
        "tail": storable_text(row.log_tail) or None,
        "peak": row.memory_peak_bytes,
        "phases": row.phases,
    }


def _has_committed(c: Connection, row: Success) -> bool:
    query = select(jobs.c.id).where(
        jobs.c.id == row.claim.job_id,
        jobs.c.attempt == row.claim.attempt,
        jobs.c.status == JobStatus.SUCCEEDED,
        jobs.c.artifact_path == row.artifact.path,
    )
    return c.execute(query).first() is not None
