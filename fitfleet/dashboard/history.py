"""What changed at which cursor: whether what was read before is still valid, and if not, what to
read again.
"""

from __future__ import annotations

import threading
from collections import deque

from fitfleet.db.pages.changes import Changes

_REMEMBERED = 1_000


class History:
    """A cursor that grows with each change, and what the last changes were. Safe for threads."""

    def __init__(self) -> None:
        self.cursor = 0
        self._lock = threading.Lock()
        self._changes: deque[tuple[int, Changes]] = deque(maxlen=_REMEMBERED)
        self._last_of: dict[int, int] = {}  # experiment -> cursor
        self._last_of_all = 0

    def forget(self) -> None:
        """From here on: what was read before may be of anything."""
        self.add(Changes(is_everything=True))

    def add(self, changes: Changes) -> None:
        """Grow by one."""
        with self._lock:
            cursor = self.cursor + 1
            self._changes.append((cursor, changes))
            self._last_of.update(dict.fromkeys(changes.jobs.values(), cursor))
            if changes.is_everything:
                self._last_of_all = cursor
            self.cursor = cursor

    def newest(self, experiment_id: int | None) -> int:
        """The cursor of the last change of an experiment; None: of anything."""
        with self._lock:
            if experiment_id is None:
                return self.cursor
            return max(self._last_of_all, self._last_of.get(experiment_id, 0))

    def since(self, cursor: int, experiment_id: int) -> frozenset[int] | None:
        """The jobs of an experiment that have changed after this cursor; None: not known which."""
        with self._lock:
            if cursor < max(self._last_of_all, self.cursor - len(self._changes)):
                return None
            later = [changes for at, changes in self._changes if at > cursor]
        return frozenset(
            job_id
            for changes in later
            for job_id, its in changes.jobs.items()
            if its == experiment_id
        )
