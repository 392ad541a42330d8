"""What every page uses: the fleet, the templates, and cached results that are still valid."""

from __future__ import annotations

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
_KEPT = 500
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
        """Whether who asks may change nothing."""
        may_change = current(self.fleet.database.actor).scope.allows(Scope.SUBMIT)
        return self.options.is_read_only or not may_change

    def cached(self, key: Hashable, make: Callable[[], _T], max_age_s: float = 0.0) -> _T:
        """What `make` gives, or gave before, if nothing in the database has changed since.

        With `max_age_s` an answer is also kept for so long whatever changes.
        """
        cursor = self.live.cursor if self.live.is_looking else 0
        if not cursor and not max_age_s:
            return make()
        # All open pages hear of a change at once: one of them reads, the others wait for it.
        with self._reading(key):
            at, cached_at, value = self._kept.get(key, (0, float("-inf"), None))
            if (cursor and at >= cursor) or time.monotonic() - cached_at < max_age_s:
                return value  # type: ignore[no-any-return]
            value = make()
            self._keep(key, (cursor, time.monotonic(), value))
        return value

    def _reading(self, key: Hashable) -> threading.Lock:
        with self._lock:
            return self._readings.setdefault(key, threading.Lock())

    def _keep(self, key: Hashable, entry: tuple[int, float, Any]) -> None:
        with self._lock:
            if len(self._kept) > _KEPT:
                self._kept.clear()
                self._readings.clear()
            self._kept[key] = entry

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
