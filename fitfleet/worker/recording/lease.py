"""The heartbeat: renews the leases of a child's jobs, receives requests, ends fits that hang."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress

from fitfleet.db.attempts import leases
from fitfleet.db.scheduling import reservations
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.states import Request
from fitfleet.worker.control import Interrupted, JobControl, Stop, StopReason
from fitfleet.worker.recording.failures import end_stopped

_REASONS = {
    Request.CANCEL: StopReason.CANCEL,
    Request.PRUNE: StopReason.PRUNE,
    Request.RELEASE: StopReason.RELEASE,
}
# With a heartbeat of 2 s and a batch between, a cancel acts within 5 s.
_GRACE_S = 1.5
# Time that a training thread has to respond to a stop before its child is killed.
_UNRESPONSIVE_S = 10.0
# After a cancel it has longer: a first trace or a large batch may take long.
_UNRESPONSIVE_TO_REQUEST_S = 60.0


class Lease:
    """A thread that sends one heartbeat for all jobs of a child, as a context manager."""

    def __init__(
        self, database: Database, settings: Settings, controls: Sequence[JobControl]
    ) -> None:
        self._database = database
        self._settings = settings
        self._controls = controls
        self._seen = {control.key: 0 for control in controls}
        self._told_at: dict[tuple[int, int], float] = {}
        self._polled_at = time.monotonic()
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
            live = [control for control in self._controls if control.is_held]
            try:
                self._send_heartbeat(live)
                self._return_peers(live)
                self._watch(live)
            except DatabaseError:
                continue  # training continues; the fence decides when the database is back
            except Exception:  # without heartbeats all jobs of this child would be lost
                traceback.print_exc()

    def _send_heartbeat(self, live: list[JobControl]) -> None:
        if not live:
            return
        progressed = [job.key for job in live if job.batches != self._seen[job.key]]
        self._seen.update({job.key: job.batches for job in live})
        try:
            with self._database.begin() as c:
                held = leases.heartbeat(
                    c, [job.claim for job in live], self._settings.lease_s, progressed
                )
        except DatabaseError:
            return
        for control in live:
            if control.key not in held:
                if control.is_held:
                    control.end_soon(StopReason.LOST, 0.0)
                continue
            request = held[control.key]
            if request is Request.FINISH:
                control.finish_soon()
            elif request is not None:
                control.end_soon(_REASONS[request], _GRACE_S)

    def _return_peers(self, live: list[JobControl]) -> None:
        """Requeue reserved jobs that would begin earlier on another slot."""
        waiting = [control for control in live if control.is_reserved and control.stop is None]
        if not waiting:
            return
        claims, settings = [control.claim for control in waiting], self._settings
        unfinished = sum(not control.is_done for control in live)
        with self._database.read() as c:
            surplus = reservations.surplus(c, settings.queue, claims, unfinished, settings.lease_s)
        if not surplus:
            return
        with self._database.begin() as c:
            returned = reservations.hand_back(c, surplus)
        for control in waiting:
            if control.key in returned:
                control.finish(Interrupted(StopReason.RELEASE))

    def _watch(self, live: list[JobControl]) -> None:
        now = time.monotonic()
        # A process that was stopped (SIGSTOP, suspended machine) has not hung meanwhile.
        slept = max(0.0, now - self._polled_at - 2 * self._settings.heartbeat_s - 1.0)
        self._polled_at = now
        for control in live:
            if not (control.is_training or control.is_committing):
                continue
            control.ignore_standstill(slept)
            claim = control.claim
            limit = claim.timeout_s if control.is_training else None
            if limit is not None and claim.seconds + control.seconds > limit:
                control.end_soon(StopReason.TIMEOUT, 0.0)
            stall_s = claim.stall_timeout_s or self._settings.stall_timeout_s
            if now - control.progress_at > stall_s:
                control.end_soon(StopReason.STALLED, 0.0)
            self._end_if_unresponsive(live, control, slept)

    def _end_if_unresponsive(
        self, live: list[JobControl], control: JobControl, slept: float
    ) -> None:
        """Kill the child when its training thread hangs and does not respond to a stop."""
        stop = control.stop
        if stop is None:
            return
        now = time.monotonic()
        told_at = self._told_at.setdefault(control.key, max(now, stop.deadline)) + slept
        self._told_at[control.key] = told_at
        last_sign_at = max(told_at, control.progress_at)
        is_request = stop.reason in (StopReason.CANCEL, StopReason.PRUNE, StopReason.RELEASE)
        if now - last_sign_at <= (_UNRESPONSIVE_TO_REQUEST_S if is_request else _UNRESPONSIVE_S):
            return
        for _ in range(3):
            with suppress(DatabaseError):
                self._end_all(live, control, stop)
                break
        os._exit(1)

    def _end_all(self, live: list[JobControl], hanging: JobControl, stop: Stop) -> None:
        """Write the end of all jobs of this child, in one transaction."""
        with self._database.begin() as c:
            for control in live:
                reason = stop.reason if control is hanging else StopReason.RELEASE
                end_stopped(c, control, reason, self._settings)
