"""The requirements that jobs have of their slots, stored once each under a number."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.schema.tables import jobs, requirements
from fitfleet.states import JobStatus

NOTHING = 0  # the requirement of jobs that need nothing


def requirement_ids(c: Connection, documents: Iterable[str]) -> dict[str, int]:
    """The number of each; those that are not there yet are stored. The empty one is 0."""
    wanted = sorted(set(documents) - {""})
    ids = {"": NOTHING, **_find(c, wanted)}
    fresh = [{"document": text} for text in wanted if text not in ids]
    if fresh:
        c.execute(insert_ignoring(c, requirements), fresh)
        ids |= _find(c, [row["document"] for row in fresh])
    return ids


def _find(c: Connection, documents: list[str]) -> dict[str, int]:
    if not documents:
        return {}
    query = select(requirements).where(requirements.c.document.in_(documents))
    return {row.document: row.id for row in c.execute(query)}


def document_of(c: Connection, job_id: int) -> str:
    """The requirement of a job; empty: none."""
    query = (
        select(requirements.c.document)
        .join(jobs, jobs.c.requirement_id == requirements.c.id)
        .where(jobs.c.id == job_id)
    )
    return str(c.execute(query).scalar() or "")


def waited_for(c: Connection, queue: str) -> dict[int, str]:
    """Number -> document of the requirements of a queue's waiting jobs, without 0."""
    waiting = select(jobs.c.id).where(
        jobs.c.requirement_id == requirements.c.id,
        jobs.c.requirement_id != NOTHING,
        jobs.c.status == JobStatus.QUEUED,
        jobs.c.queue == queue,
    )
    query = select(requirements).where(waiting.exists()).order_by(requirements.c.id)
    return {row.id: row.document for row in c.execute(query)}
