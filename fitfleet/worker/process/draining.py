"""The end of a worker service: its children requeue their jobs, within a limited time."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from fitfleet.db.scheduling import recovery
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.worker.process import tasks

_log = logging.getLogger(__name__)


class Drain:
    """Requests the children to end, and kills those that have not after `drain_s` seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timer = threading.Timer(settings.drain_s, self._kill)
        self._timer.daemon = True
        self._has_killed = False

    def start(self) -> None:
        """Celery itself would wait for the fits; ours checkpoint and go back to the queue.

        A child in the middle of a long batch does not react, hence the timer.
        """
        _log.info("draining: jobs checkpoint and go back to the queue")
        for pid in _children():
            _send(pid, signal.SIGUSR2)
        if not self._timer.ident:
            self._timer.start()

    def finish(self) -> None:
        """Give back the jobs of children that were killed; they resume from their checkpoints."""
        self._timer.cancel()
        if not self._has_killed:
            return
        slots = [tasks.slot_id(os.getpid(), index) for index in range(self._settings.slots)]
        # Without the database the leases will expire.
        with suppress(DatabaseError), Database(self._settings.database_url).begin() as c:
            recovery.release(c, slots)

    def _kill(self) -> None:
        for pid in _children():
            self._has_killed = True
            _send(pid, signal.SIGKILL)


def exit_now(code: int) -> NoReturn:
    """End this process once `run_service` has returned, with all that is registered for its exit.

    Python's own way takes more than a second to take everything apart, for which scripts wait.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(code)


def _children() -> list[int]:
    from billiard import active_children

    return [child.pid for child in active_children()]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
