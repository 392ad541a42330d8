"""The heartbeat: holds the leases of a child's jobs, hears what is asked, ends what hangs."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress

from fitfleet.db import leases
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.states import FailureClass, JobStatus, Request
from fitfleet.worker.engines.engine import Member, StopReason

_REASONS = {
    Request.CANCEL: StopReason.CANCEL,
    Request.PRUNE: StopReason.PRUNE,
    Request.RELEASE: StopReason.RELEASE,
}
_ENDED = {StopReason.CANCEL: JobStatus.CANCELLED, StopReason.PRUNE: JobStatus.PRUNED}
# With a heartbeat of 2 s and a batch between, a cancel acts within 5 s.
_GRACE_S = 1.5
# A training thread that hears nothing for so long after it was told to end is ended with its child.
_DEAF_S = 10.0
# After a cancel it is given longer: a first trace or a large batch may take its time.
_DEAF_TO_REQUEST_S = 60.0


class Lease:
    """A thread that sends one heartbeat for all members, as a context manager."""

    def __init__(self, database: Database, settings: Settings, members: Sequence[Member]) -> None:
        self._database = database
        self._settings = settings
        self._members = members
        self._seen = {member.key: 0 for member in members}
        self._told_at: dict[tuple[int, int], float] = {}
        self._looked_at = time.monotonic()
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
            live = [member for member in self._members if member.is_held]
            try:
                self._beat(live)
                self._watch(live)
            except DatabaseError:
                continue  # training goes on; the fence decides when the database is back
            except Exception:  # without heartbeats all jobs of this child would be lost
                traceback.print_exc()

    def _beat(self, live: list[Member]) -> None:
        if not live:
            return
        progressed = [m.key for m in live if m.batches != self._seen[m.key]]
        self._seen.update({m.key: m.batches for m in live})
        try:
            with self._database.begin() as c:
                held = leases.heartbeat(
                    c, [m.claim for m in live], self._settings.lease_s, progressed
                )
        except DatabaseError:
            return
        for member in live:
            if member.key not in held:
                if member.is_held:
                    member.end_soon(StopReason.LOST, 0.0)
                continue
            request = held[member.key]
            if request is not None:
                member.end_soon(_REASONS[request], _GRACE_S)

    def _watch(self, live: list[Member]) -> None:
        now = time.monotonic()
        # A process that was stopped (SIGSTOP, suspended machine) has not hung meanwhile.
        slept = max(0.0, now - self._looked_at - 2 * self._settings.heartbeat_s - 1.0)
        self._looked_at = now
        for member in live:
            if not (member.is_running or member.is_ending):
                continue
            member.progress_at += slept
            limit = member.claim.timeout_s if member.is_running else None
            if limit is not None and member.claim.seconds + member.seconds > limit:
                member.end_soon(StopReason.TIMEOUT, 0.0)
            stall_s = member.claim.stall_timeout_s or self._settings.stall_timeout_s
            if now - member.progress_at > stall_s:
                member.end_soon(StopReason.STALLED, 0.0)
            self._end_if_deaf(live, member, stall_s, slept)

    def _end_if_deaf(
        self, live: list[Member], member: Member, stall_s: float, slept: float
    ) -> None:
        """End the child when the training thread does not come back from where it hangs."""
        stop = member.stop
        if stop is None:
            return
        now = time.monotonic()
        told_at = self._told_at.setdefault(member.key, max(now, stop.deadline)) + slept
        self._told_at[member.key] = told_at
        heard_at = max(told_at, member.progress_at)
        is_request = stop.reason in (StopReason.CANCEL, StopReason.PRUNE, StopReason.RELEASE)
        if now - heard_at <= (_DEAF_TO_REQUEST_S if is_request else _DEAF_S):
            return
        for _ in range(3):
            with suppress(DatabaseError):
                self._give_up(live, member, stop.reason, stall_s)
                break
        os._exit(1)

    def _give_up(
        self, live: list[Member], deaf: Member, reason: StopReason, stall_s: float
    ) -> None:
        """Write the end of all jobs of this child, in one transaction."""
        with self._database.begin() as c:
            for member in live:
                if member is not deaf:
                    leases.release(c, member.claim, seconds=member.seconds)
                elif reason in _ENDED:
                    leases.stop(c, member.claim, _ENDED[reason], seconds=member.seconds)
                elif reason is StopReason.RELEASE:
                    leases.release(c, member.claim, seconds=member.seconds)
                elif reason is not StopReason.LOST:
                    failure_class, message = _why(member, reason, stall_s)
                    leases.fail(
                        c,
                        member.claim,
                        failure_class,
                        message,
                        seconds=member.seconds,
                        backoff_s=self._settings.backoff_s,
                    )


def _why(member: Member, reason: StopReason, stall_s: float) -> tuple[FailureClass, str]:
    if reason is StopReason.TIMEOUT:
        limit = member.claim.timeout_s
        return FailureClass.TIMEOUT, f"it ran longer than its timeout_s={limit:g}"
    return FailureClass.STALLED, f"the fit has made no progress for {stall_s:g} s"
