"""The heartbeat: holds the leases of a child's jobs, and hears what is asked of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from fitfleet.db import leases
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.states import FailureClass, Request
from fitfleet.worker.engine import Member, Stop, StopReason

_REASONS = {
    Request.CANCEL: StopReason.CANCEL,
    Request.PRUNE: StopReason.PRUNE,
    Request.RELEASE: StopReason.RELEASE,
}
# A fit that hears nothing between two batches for so long after its stop is ended with its child.
_STALL_GRACE_S = 10.0


class Lease:
    """A thread that sends one heartbeat for all members, as a context manager."""

    def __init__(self, database: Database, settings: Settings, members: Sequence[Member]) -> None:
        self._database = database
        self._settings = settings
        self._members = members
        self._seen = {member.key: 0 for member in members}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._ended.wait(self._settings.heartbeat_s):
            live = [member for member in self._members if not member.is_done]
            self._watch(live)
            try:
                self._beat(live)
            except DatabaseError:
                continue  # training goes on; the fence decides when the database is back

    def _beat(self, live: list[Member]) -> None:
        if not live:
            return
        progressed = [m.key for m in live if m.batches != self._seen[m.key]]
        self._seen.update({m.key: m.batches for m in live})
        with self._database.begin() as c:
            held = leases.heartbeat(c, [m.claim for m in live], self._settings.lease_s, progressed)
        for member in live:
            if member.key not in held:
                if not member.is_done:
                    member.stop = Stop(StopReason.LOST)
                continue
            request = held[member.key]
            if request is not None and member.stop is None:
                member.stop = Stop(_REASONS[request])

    def _watch(self, live: list[Member]) -> None:
        now = time.monotonic()
        for member in live:
            limit = member.claim.timeout_s
            spent = member.claim.seconds + now - member.claimed_at
            if limit is not None and spent > limit and member.stop is None:
                member.stop = Stop(StopReason.TIMEOUT)
            stall = member.claim.stall_timeout_s or self._settings.stall_timeout_s
            if not member.is_running or now - member.progress_at <= stall:
                continue
            if member.stop is None:
                member.stop = Stop(StopReason.STALLED)
            elif now - member.progress_at > stall + _STALL_GRACE_S:
                self._end_child(live, member, stall)

    def _end_child(self, live: list[Member], stalled: Member, stall_s: float) -> None:
        """The training thread does not come back: give all jobs away and end the process."""
        with self._database.begin() as c:
            leases.fail(
                c,
                stalled.claim,
                FailureClass.STALLED,
                f"the fit has made no progress for {stall_s:g} s",
                seconds=time.monotonic() - stalled.claimed_at,
                backoff_s=self._settings.backoff_s,
            )
            for member in live:
                if member is not stalled:
                    leases.release(c, member.claim, seconds=0.0)
        os._exit(1)
