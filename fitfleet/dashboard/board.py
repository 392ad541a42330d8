"""What every page uses: the fleet, the templates, and cached results that are still valid."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.access import Gate
from fitfleet.dashboard.live import Live
from fitfleet.dashboard.options import Options
from fitfleet.dashboard.render import environment
from fitfleet.db.actor import Scope, current
from fitfleet.errors import BrokerError
from fitfleet.queue import celery_app, ping

_T = TypeVar("_T")
_KEPT = 200
# Interval at which incrementally updated data is read anew: a poll finds changed jobs, not every
# changed value.
_REREAD_S = 60.0
_BROKER_S = 3.0


class Board:
    """The state of one server; requests of many threads share it."""

    def __init__(self, fleet: Fleet, options: Options) -> None:
        self.fleet = fleet
        self.options = options
        self.gate = Gate(options.secret)
        self.live = Live(fleet.database)
        self.templates = environment(options.root)
        self._kept: dict[Hashable, tuple[int, float, Any]] = {}
        self._readings: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()
        self._broker: tuple[float, BrokerError | None] = (float("-inf"), None)

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """A whole page or a part of one."""
        return HTMLResponse(self.render(template, **values), status)

    def render(self, template: str, **values: Any) -> str:
        """A template with what all of them need."""
        return self.templates.get_template(template).render(
            is_read_only=self.is_read_only,
            now=time.time(),
            **values,
        )

    @property
    def is_read_only(self) -> bool:
        """Whether the visitor may change nothing."""
        may_change = current(self.fleet.database.actor).scope.allows(Scope.SUBMIT)
        return self.options.is_read_only or not may_change

    def cached(
        self,
        key: Hashable,
        make: Callable[[], _T],
        *,
        of: int | None = None,
        least_s: float = 0.0,
        most_s: float = math.inf,
    ) -> _T:
        """What `make` gives, or gave before, if nothing has changed since in experiment `of`.

        None: in any. It is kept for `least_s` whatever changes, and never longer than `most_s`.
        """
        cursor = self.live.history.newest(of) if self.live.is_looking else 0
        if not cursor and not least_s:
            return make()
        # All open pages hear of a change at once: one of them reads, the others wait for it.
        with self._reading(key):
            at, made_at, value = self._kept.get(key, (0, float("-inf"), None))
            age_s = time.monotonic() - made_at
            if age_s < least_s or (cursor and at >= cursor and age_s < most_s):
                return value  # type: ignore[no-any-return]
            value = make()
            self._keep(key, (cursor, time.monotonic(), value))
        return value

    def followed(
        self,
        key: Hashable,
        of: int,
        read: Callable[[], _T],
        update: Callable[[_T, frozenset[int]], _T | None],
    ) -> _T:
        """What `read` gives of experiment `of`, then `update` of it and the jobs that changed.

        Where `update` gives None, and now and then, it is read anew.
        """
        if not self.live.is_looking:
            return read()
        with self._reading(key):
            cursor = self.live.cursor
            at, read_at, value = self._kept.get(key, (0, float("-inf"), None))
            is_old = time.monotonic() - read_at > _REREAD_S
            jobs = None if is_old else self.live.history.since(at, of)
            if jobs:
                value = update(value, jobs)
            if jobs is None or value is None:
                value, read_at = read(), time.monotonic()
            self._keep(key, (cursor, read_at, value))
        return value  # type: ignore[no-any-return]

    def forget(self) -> None:
        """Read all anew: who has changed something is to see it, before the next poll does."""
        self.live.history.forget()

    def _reading(self, key: Hashable) -> threading.Lock:
        with self._lock:
            if len(self._readings) > 2 * _KEPT:  # of what could not be read
                self._readings = {k: v for k, v in self._readings.items() if k in self._kept}
            return self._readings.setdefault(key, threading.Lock())

    def _keep(self, key: Hashable, entry: tuple[int, float, Any]) -> None:
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = entry
            while len(self._kept) > _KEPT:
                oldest = next(iter(self._kept))
                del self._kept[oldest]
                self._readings.pop(oldest, None)

    def ping(self) -> None:
        """BrokerError unless the broker answered within the last seconds."""
        with self._lock:
            at, error = self._broker
        if time.monotonic() - at > _BROKER_S:
            error = None
            try:
                ping(celery_app(self.fleet.settings))
            except BrokerError as found:
                error = found
            with self._lock:
                self._broker = time.monotonic(), error
        if error is not None:
            raise error


def board_of(request: Request) -> Board:
    """The board of the server that got this request."""
    board: Board = request.app.state.board
    return board
