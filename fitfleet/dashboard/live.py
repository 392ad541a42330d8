"""Changes, sent to every open page: one poll of the database serves all of them.

A page hears the names of what changed and a cursor, never the data: it asks for what is new. When
no page has listened for a while, nothing is asked.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from anyio import to_thread

from fitfleet.dashboard.history import History
from fitfleet.db.outages import OUTAGE_POLL_S
from fitfleet.db.pages.changes import Changes, Watch
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError

_POLL_S = 0.4
# Between two pages of a reader nobody listens; what the first one has read stays valid.
_LINGER_S = 15.0
# So that proxies and browsers keep a stream that has nothing to say.
_COMMENT_S = 15.0
_QUEUE = 100
_NAMED = 500


class Live:
    """The polls and the streams of one server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: set[asyncio.Queue[str | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._left_at = float("-inf")
        self._away_since: float | None = None
        self._has_polled = False
        self.history = History()
        self.is_closed = False

    @property
    def cursor(self) -> int:
        """Of the last change that is known."""
        return self.history.cursor

    @property
    def is_looking(self) -> bool:
        """Whether the cursor follows the database at the moment."""
        return self._away_since is None and self._has_polled

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events, until the reader is gone or the server ends."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE)
        self._listeners.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield ": connected\n\n"
            if self._has_polled:
                yield _event(["hello"], self.cursor, {})
            if self._away_since is not None:
                yield _event(["database"], self.cursor, {"away_since": self._away_since})
            while not self.is_closed:
                try:
                    text = await asyncio.wait_for(queue.get(), _COMMENT_S)
                except TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            self._listeners.discard(queue)
            self._left_at = time.monotonic()

    def close(self) -> None:
        """End all streams, so that the server can end."""
        self.is_closed = True
        for listener in list(self._listeners):
            _put(listener, None)

    async def _run(self) -> None:
        watch = Watch()
        while self._is_wanted() and not self.is_closed:
            pause_s = _POLL_S
            try:
                changes = await to_thread.run_sync(self._poll, watch)
                self._report_return()
                self._begin()
                self._tell(changes)
            except DatabaseError:
                self._report_outage()
                pause_s = OUTAGE_POLL_S
            await asyncio.sleep(pause_s)
        # What happens from now on is seen by nobody.
        self._has_polled = False

    def _is_wanted(self) -> bool:
        return bool(self._listeners) or time.monotonic() - self._left_at < _LINGER_S

    def _begin(self) -> None:
        """After the first poll: what a page reads from now on is current, or will be sent."""
        if not self._has_polled:
            self.history.forget()
            self._has_polled = True
            self._send(["hello"], {})

    def _poll(self, watch: Watch) -> Changes:
        with self._database.read() as c:
            return watch.poll(c)

    def _tell(self, changes: Changes) -> None:
        if not changes:
            return
        self.history.add(changes)
        jobs = sorted(changes.jobs)
        names = [f"experiment-{number}" for number in sorted(set(changes.jobs.values()))]
        if len(jobs) > _NAMED:
            jobs = []
            names.append("job-0")
        names += [f"job-{number}" for number in jobs]
        if changes.is_everything:
            names.append("experiment-0")
        self._send(["fleet", *names], {})

    def _report_outage(self) -> None:
        if self._away_since is None:
            self._away_since = time.time()
            self._send(["database"], {"away_since": self._away_since})

    def _report_return(self) -> None:
        if self._away_since is not None:
            self._away_since = None
            self._send(["database"], {"away_since": None})

    def _send(self, names: list[str], detail: dict[str, Any]) -> None:
        text = _event(names, self.cursor, detail)
        for listener in list(self._listeners):
            _put(listener, text)


def _put(queue: asyncio.Queue[str | None], text: str | None) -> None:
    """A client that does not read is disconnected; it reconnects and reads all."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        text = None
    queue.put_nowait(text)


def _event(names: list[str], cursor: int, detail: dict[str, Any]) -> str:
    data = json.dumps({"names": names, "cursor": cursor, **detail})
    return f"id: {cursor}\ndata: {data}\n\n"
