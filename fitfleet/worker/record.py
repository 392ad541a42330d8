"""Metrics go to the database from a thread of their own, through outages as well."""

from __future__ import annotations

import threading
import time
from collections import deque

from fitfleet.db import metrics
from fitfleet.db.metrics import EpochMetrics
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError

_OUTAGE_LOOK_S = 1.0


class Recorder:
    """Takes epochs from the training thread and writes what has gathered in one transaction.

    While the database is away the epochs wait in memory (a few hundred bytes each).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: deque[EpochMetrics] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def put(self, row: EpochMetrics) -> None:
        """Leave an epoch to be written. Never blocks on the database."""
        with self._changed:
            self._rows.append(row)
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put is written; whether it is."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._rows, max(0.0, deadline - time.monotonic())
            )

    def close(self) -> None:
        """End the thread; what is not written then is lost."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._rows or self._is_closed)
                if self._is_closed:
                    return
                waiting = list(self._rows)
            try:
                with self._database.begin() as c:
                    metrics.record(c, waiting)
            except DatabaseError:
                time.sleep(_OUTAGE_LOOK_S)
                continue
            with self._changed:
                for _ in waiting:
                    self._rows.popleft()
                self._changed.notify_all()
