"""Waiting while the database is unreachable: how often to retry, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from fitfleet.errors import DatabaseError

_T = TypeVar("_T")

OUTAGE_POLL_S = 1.0


def outlast(
    work: Callable[[], _T],
    *,
    until: Callable[[], bool],
    on_outage: Callable[[], None] = lambda: None,
) -> _T | None:
    """What `work` returns, tried again each second while it raises DatabaseError.

    It is tried at least once. None when `until` ends the waiting;
    `on_outage` is called before each pause.
    """
    while True:
        try:
            return work()
        except DatabaseError:
            if until():
                return None
            on_outage()
            time.sleep(OUTAGE_POLL_S)
            if until():
                return None


class Tolerance:
    """Within `with`, lets DatabaseErrors pass until the database has been away for `limit_s`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._answered_at = time.monotonic()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        now = time.monotonic()
        if error is None:
            self._answered_at = now
        return isinstance(error, DatabaseError) and now - self._answered_at <= self._limit_s
