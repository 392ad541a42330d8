"""Waiting for jobs: poll the database until all have ended, and say meanwhile how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fitfleet.client.snapshot import Snapshot, take
from fitfleet.db import lookup
from fitfleet.db.outages import Tolerance
from fitfleet.db.session import Database
from fitfleet.errors import WaitTimeoutError

_POLL_S = 0.1
# A waiting script outlives a restart of the database.
_OUTAGE_S = 120.0


def wait_for(
    database: Database,
    job_ids: Sequence[int],
    alive_s: float,
    *,
    timeout_s: float | None = None,
    on_poll: Callable[[], None] | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    snapshot_s: float = 0.25,
) -> None:
    """Return when every job has ended. `alive_s` is as `snapshot.take` has it.

    `on_poll` is called at each poll and may raise; `on_snapshot` gets the state of the jobs every
    `snapshot_s` seconds and once at the end. WaitTimeoutError after `timeout_s`; DatabaseError
    when the database has been away for two minutes.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pending = list(job_ids)
    drawn_at, outages = 0.0, Tolerance(_OUTAGE_S)
    while pending:
        now = time.monotonic()
        if on_poll is not None:
            on_poll()
        with outages:
            pending = _pending(database, pending)
            if on_snapshot is not None and (now - drawn_at >= snapshot_s or not pending):
                on_snapshot(take(database, job_ids, alive_s))
                drawn_at = now
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
        status_of = lookup.statuses(c, job_ids)
    return [i for i in job_ids if i in status_of and not status_of[i].is_terminal]
