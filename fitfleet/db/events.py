"""One row per event: failures, retries, cancels, drains. Read through view `events`."""

from __future__ import annotations

from sqlalchemy import Connection

from fitfleet.db.schema.tables import events
from fitfleet.db.session import now


def add(
    c: Connection,
    kind: str,
    job_id: int | None = None,
    *,
    attempt: int | None = None,
    worker: str | None = None,
    detail: str | None = None,
) -> None:
    """Record that something happened, at the database's time."""
    c.execute(
        events.insert().values(
            at=now(c), kind=kind, job_id=job_id, attempt=attempt, worker=worker, detail=detail
        )
    )
