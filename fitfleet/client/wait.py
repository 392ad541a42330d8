"""Waiting for jobs: poll the database until all have ended, and say meanwhile how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fitfleet.client.snapshot import Snapshot, take
from fitfleet.db import lookup
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError, WaitTimeoutError

_POLL_S = 0.1
# A waiting script outlives a restart of the database.
_OUTAGE_S = 120.0


def wait_for(
    database: Database,
    job_ids: Sequence[int],
    *,
    timeout_s: float | None = None,
    on_poll: Callable[[], None] | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    snapshot_s: float = 0.25,
) -> None:
    """Return when every job has ended.

    `on_poll` is called at each poll and may raise; `on_snapshot` gets the state of the jobs every
    `snapshot_s` seconds and once at the end. WaitTimeoutError after `timeout_s`; DatabaseError
    when the database has been away for two minutes.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pending = list(job_ids)
    drawn_at, answered_at = 0.0, time.monotonic()
    while pending:
        now = time.monotonic()
        if on_poll is not None:
            on_poll()
        try:
            pending = _pending(database, pending)
            if on_snapshot is not None and (now - drawn_at >= snapshot_s or not pending):
                on_snapshot(take(database, job_ids))
                drawn_at = now
            answered_at = now
        except DatabaseError:
            if now - answered_at > _OUTAGE_S:
                raise
        if pending and deadline is not None and now >= deadline:
            raise WaitTimeoutError(
                f"{len(pending)} of {len(job_ids)} jobs have not ended after {timeout_s:g} s;"
                " they continue running"
            )
        if pending:
            time.sleep(_POLL_S)


def _pending(database: Database, job_ids: list[int]) -> list[int]:
    """Those that have not ended; a job that was removed has."""
    with database.read() as c:
        found = lookup.statuses(c, job_ids)
    return [i for i in job_ids if i in found and not found[i].is_terminal]
