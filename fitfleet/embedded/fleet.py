"""The embedded fleet: broker, scheduler and workers of one script, on this machine."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from types import TracebackType

from fitfleet.client.fleet import Fleet
from fitfleet.db.session import Database
from fitfleet.embedded.broker import Broker
from fitfleet.embedded.services import Services
from fitfleet.interrupts import kept_interrupts
from fitfleet.scheduler.maintenance import Preemption, Retention
from fitfleet.scheduler.service import Scheduler
from fitfleet.scheduler.traces import TraceSender
from fitfleet.scheduler.webhooks import Notifier
from fitfleet.settings import Settings

_TRACES_S = 5.0  # longest wait of a script for the receiver of its traces, twice


class LocalFleet(Fleet):
    """A fleet that lives as long as its `with` block. Made by `ff.local(...)`."""

    def __init__(
        self, settings: Settings, database: Database, broker: Broker, services: Services
    ) -> None:
        super().__init__(settings, database)
        self.notices.starting = settings.queue
        self.broker = broker
        self.services = services
        self._stop = threading.Event()
        self._scheduler = Scheduler(settings, database)
        self._scheduler.steps += [Retention(settings), Preemption(settings), Notifier()]
        self._traces = TraceSender() if settings.traces else None
        self._scheduler.steps += [self._traces] if self._traces is not None else []
        self._thread = threading.Thread(
            target=self._scheduler.run, args=(self._stop,), name="fitfleet-scheduler", daemon=True
        )
        self._thread.start()
        self._is_open = True
        self._interrupts = ExitStack()
        self._interrupts.enter_context(kept_interrupts())

    def __enter__(self) -> LocalFleet:
        return self

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the worker services that are up."""
        return self.services.pids

    def _on_poll(self) -> None:
        self.services.check()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt) and sys.stderr.isatty():
            print(
                "stopping: fits write a checkpoint; Ctrl-C again ends them at once", file=sys.stderr
            )
        self.close()

    def close(self) -> None:
        """Drain the workers, then stop the scheduler and release the broker.

        A running fit writes a checkpoint and goes back to the queue; the next fleet in this
        directory resumes it. A second Ctrl-C ends the workers at once.
        """
        if not self._is_open:
            return
        self._is_open = False
        try:
            self.services.stop(self.settings.drain_s)
        finally:
            self._stop.set()
            self._thread.join(timeout=10)
            if self._traces is not None:  # nobody may start this fleet again
                self._traces.close(self.database, _TRACES_S)
            self.broker.release()
            self._close_page()
            self.database.dispose()
            self._interrupts.close()
