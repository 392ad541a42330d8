"""Waiting for jobs to end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from fitfleet.client.display.progress_snapshot import Snapshot, take
from fitfleet.db.outages import Tolerance
from fitfleet.db.reading import lookup
from fitfleet.db.session import Connection, Database
from fitfleet.errors import WaitTimeoutError

_POLL_S = 0.1
# Slow drawings are made less often: they take at most this share of the time.
_SNAPSHOT_SHARE = 0.1
# A waiting script outlives a restart of the database.
_OUTAGE_S = 120.0
_WINDOW = 1_000


class Pending:
    """Jobs of which some have not ended. A poll costs the same however many there are."""

    def __init__(self, job_ids: Iterable[int]) -> None:
        self._later = deque(job_ids)
        self._window: list[int] = []  # the first ones that had not ended; of the later ones
        # nothing needs to be known before these have

    def __bool__(self) -> bool:
        return bool(self._window or self._later)

    def poll(self, c: Connection) -> None:
        """Leave out the first ones that have ended; a job that was removed has."""
        while self:
            while self._later and len(self._window) < _WINDOW:
                self._window.append(self._later.popleft())
            statuses = lookup.statuses(c, self._window)
            left = [i for i in self._window if i in statuses and not statuses[i].is_terminal]
            is_stuck = len(left) == len(self._window)
            self._window = left
            if is_stuck or (left and not self._later):
                return

    def count(self, c: Connection) -> int:
        """How many have not ended."""
        statuses = lookup.statuses(c, [*self._window, *self._later])
        return sum(not status.is_terminal for status in statuses.values())


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
    `snapshot_s` seconds, less often where it takes its time, and once at the end. WaitTimeoutError
    after `timeout_s`; DatabaseError when the database has been away for two minutes.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pending = Pending(job_ids)
    next_at, outages = 0.0, Tolerance(_OUTAGE_S)
    while pending:
        now = time.monotonic()
        if on_poll is not None:
            on_poll()
        with outages:
            with database.read() as c:
                pending.poll(c)
            if on_snapshot is not None and (now >= next_at or not pending):
                at = time.monotonic()
                on_snapshot(take(database, job_ids, alive_s))
                took_s = time.monotonic() - at
                next_at = now + max(snapshot_s, took_s / _SNAPSHOT_SHARE)
        if pending and deadline is not None and now >= deadline:
            with database.read() as c:
                count = pending.count(c)
            raise WaitTimeoutError(
                f"{count} of {len(job_ids)} jobs have not ended after {timeout_s:g} s;"
                " they continue running"
            )
        if pending:
            time.sleep(_POLL_S)
