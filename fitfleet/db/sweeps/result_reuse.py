"""Reusing results that another experiment has computed already, without running them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, literal, select, update

from fitfleet.db import events
from fitfleet.db.accounts import webhooks
from fitfleet.db.schema.tables import experiments, jobs, metrics, scores
from fitfleet.states import JobStatus

# What a job's row says about a fit that is over.
_RESULTS = (
    "started_at",
    "finished_at",
    "seconds",
    "train_seconds",
    "epoch",
    "artifact_path",
    "artifact_sha256",
    "artifact_bytes",
    "kept_epoch",
    "nan_epoch",
    "parameters",
    "engine",
    "engine_reason",
)


def adopt(c: Connection, job_ids: Sequence[int]) -> dict[int, int]:
    """Give queued jobs the results of succeeded jobs of the same content: job -> adopted from.

    Call it in the transaction that inserts the jobs, before any dispatcher sees them. Weights are
    shared, not copied; curves and scores are the job's own rows.
    """
    sources: dict[int, int] = {}
    for job_id in job_ids:
        source = _source(c, job_id)
        if source is None:
            continue
        results = {name: getattr(source, name) for name in _RESULTS}
        updated = c.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.status == JobStatus.QUEUED)
            .values(**results, status=JobStatus.SUCCEEDED, adopted_from=source.id)
        ).rowcount
        if updated:
            for table in (metrics, scores):
                names = [column.name for column in table.c if column.name != "job_id"]
                rows = select(literal(job_id), *(table.c[name] for name in names))
                rows = rows.where(table.c.job_id == source.id)
                c.execute(insert(table).from_select(["job_id", *names], rows))
            events.add(c, "adopted", job_id, detail=f"from job {source.id}")
            sources[job_id] = source.id
    webhooks.jobs_ended(c, sources)
    return sources


def _source(c: Connection, job_id: int) -> Any:
    content = select(jobs.c.content_hash).where(jobs.c.id == job_id).scalar_subquery()
    query = (
        select(jobs)
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(
            experiments.c.removing.is_(None),
            jobs.c.content_hash == content,
            jobs.c.status == JobStatus.SUCCEEDED,
            jobs.c.fingerprint.is_not(None),
            jobs.c.stopped_by.is_(None),  # nobody else's budget
        )
        .order_by(jobs.c.id)
        .limit(1)
    )
    return c.execute(query).first()
