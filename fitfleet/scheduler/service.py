"""The scheduler's loop: recover what was lost, dispatch what waits. Any number may run."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from fitfleet.db.outages import OUTAGE_POLL_S
from fitfleet.db.session import Database, read_clock
from fitfleet.errors import BrokerError, DatabaseError
from fitfleet.queue import announce_scheduler, celery_app
from fitfleet.scheduler.dispatch import Dispatcher
from fitfleet.scheduler.recover import (
    hold_kept_slots,
    redispatch,
    requeue_expired,
    settle_dependents,
)
from fitfleet.settings import Settings

_log = logging.getLogger(__name__)
_ANSWER_S = 2.0  # longest answer from which the database's clock is read
# Time after a message was sent in which the queue is polled more often: slots of short fits may be
# free again any moment.
_BRISK_S = 0.5
_BRISK_SHARE = 0.2  # of poll_s


class _Clock:
    """Detects that the database's clock, by which leases end, advanced while workers stood still.

    It may be set forward, or the machine may have slept with its workers: Python's monotonic
    clock does neither.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def skipped_s(self, database_s: float) -> float:
        """By how much it is further on than at the last call."""
        before, self._offset_s = self._offset_s, database_s - time.monotonic()
        return 0.0 if before is None else self._offset_s - before


class Scheduler:
    """Publishes jobs to the broker until it is stopped. All lasting state is in SQL.

    `steps` are called at each recovery, with the database; sweeps hang their pruning there.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._app = celery_app(settings)
        self._dispatcher = Dispatcher(database, self._app, settings)
        self._wake = threading.Event()
        self._recovered_at = float("-inf")
        self._problem = ""
        self._sent_at = float("-inf")
        self._clock = _Clock()
        self._no_requeue_before = 0.0
        self._wait_a_lease()
        self.steps: list[Callable[[Database], None]] = []
        self.turned_at = 0.0  # of the last turn of its loop
        self.polled_at = 0.0  # Unix seconds of the last poll that database and broker answered

    def wake(self) -> None:
        """Poll at once instead of after `poll_s`."""
        self._dispatcher.forget()
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set. Outages of broker or database are waited out."""
        while not stop.is_set():
            self.turned_at = time.time()
            pause_s = self._settings.poll_s
            try:
                if self.tick():
                    self._sent_at = time.monotonic()
                if time.monotonic() - self._sent_at < _BRISK_S:
                    pause_s *= _BRISK_SHARE
                self._log_problem("")
            except BrokerError as error:
                self._log_problem(str(error))
                self._recovered_at = float("-inf")  # a poll without waiting jobs needs no broker
                pause_s = OUTAGE_POLL_S
            except DatabaseError as error:
                self._log_problem(str(error))
                self._wait_a_lease()
                pause_s = OUTAGE_POLL_S
            except Exception:
                # A scheduler that ends silently would leave every job waiting for ever.
                _log.exception("the scheduler continues after an internal error")
                pause_s = OUTAGE_POLL_S
            self._wake.wait(pause_s)
            self._wake.clear()

    def tick(self) -> int:
        """One poll: recover when it is time, then dispatch. The number of messages sent."""
        now = time.monotonic()
        if now - self._recovered_at >= self._settings.recover_s:
            self._recovered_at = now
            self._recover(now)
        sent = self._dispatcher.poll()
        self.polled_at = time.time()
        return sent

    def _wait_a_lease(self) -> None:
        """Leases could not be extended while the database was away: let workers do it first."""
        self._no_requeue_before = time.monotonic() + self._settings.lease_s

    def _recover(self, now: float) -> None:
        announce_scheduler(self._app, f"{socket.gethostname()}:{os.getpid()}")
        with self._database.read() as c:
            skipped_s = self._clock.skipped_s(read_clock(c))
        if skipped_s > max(_ANSWER_S, self._settings.lease_s / 2):
            self._wait_a_lease()
            return
        if now >= self._no_requeue_before:
            for job_id in requeue_expired(self._database, self._settings):
                _log.warning("job %s was lost and is requeued", job_id, extra={"job": job_id})
        self._backfill()
        for step in (settle_dependents, *self.steps):
            self._run_step(step)
        for job_id in redispatch(self._database, self._app, self._settings):
            # No warning: a worker that still loads TensorFlow may have taken it.
            message = "no worker started job %s in time; it is published again"
            _log.info(message, job_id, extra={"job": job_id})

    def _backfill(self) -> None:
        for job_id in hold_kept_slots(self._database, self._app, self._settings):
            message = "job %s runs on a slot that is reserved for a job on several GPUs"
            _log.info(message, job_id, extra={"job": job_id})

    def _run_step(self, step: Callable[[Database], None]) -> None:
        """An error in a step must not keep jobs from being dispatched."""
        try:
            step(self._database)
        except DatabaseError:
            raise
        except Exception:
            _log.exception("a step of the scheduler failed; the others continue")

    def _log_problem(self, problem: str) -> None:
        """Log a problem once, and once that it is over."""
        if problem and problem != self._problem:
            _log.error("%s", problem)
        if self._problem and not problem:
            _log.warning("the scheduler continues: broker and database are reachable again")
        self._problem = problem
