"""Notices to a script that submits: the broker is unreachable, or no worker serves the queue."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from fitfleet.client.doctor.storage import is_embedded
from fitfleet.client.wait_reasons import without_worker
from fitfleet.db.fleet import capacity
from fitfleet.db.session import Database
from fitfleet.errors import BrokerError
from fitfleet.queue import check as check_broker
from fitfleet.settings import Settings

# Interval at which a script that submits job after job checks the broker.
_BROKER_POLL_S = 5.0


class Notices:
    """Of one fleet handle. `starting` is the queue of workers that this script has started."""

    def __init__(self, database: Database, settings: Settings, starting: str | None = None) -> None:
        self.starting = starting
        self._database, self._settings = database, settings
        self._polled_at = -_BROKER_POLL_S
        self._broker_error: str | None = None
        self._checked: set[str] = set()

    def broker_away(self) -> list[str]:
        """A sentence if the broker does not answer, and nothing else starts the job."""
        if not self._poll() or self._broker_error is None:
            return []
        if not is_embedded(self._settings):
            kept = "the job is kept in the database and starts when the broker is back"
            return [f"{self._broker_error}; {kept}"]
        return self._no_fleet_here()

    def unserved_once(self, queues: Iterable[str]) -> list[str]:
        """`unserved`, for each queue the first time only."""
        fresh = set(queues) - self._checked
        self._checked |= fresh
        return list(self.unserved(fresh).values()) if fresh else []

    def unserved(self, queues: Iterable[str]) -> dict[str, str]:
        """A sentence for each of these queues that no live worker serves.

        Nothing while the broker is away, which `broker_away` tells.
        """
        with self._database.read() as c:
            notices = without_worker(c, queues, self._settings, starting=self.starting)
        if notices:
            self._poll()
        return {} if self._broker_error is not None else notices

    def fresh(self, unserved: Mapping[str, str]) -> list[str]:
        """The sentences of a server's `unserved` that this script has not shown before."""
        lines = [line for queue, line in unserved.items() if queue not in self._checked]
        self._checked.update(unserved)
        return lines

    def _poll(self) -> bool:
        """Ask the broker for a sign of life, unless that was done just now; whether it was."""
        if time.monotonic() - self._polled_at < _BROKER_POLL_S:
            return False
        self._polled_at = time.monotonic()
        try:
            check_broker(self._settings)
        except BrokerError as error:
            self._broker_error = str(error)
        else:
            self._broker_error = None
        return True

    def _no_fleet_here(self) -> list[str]:
        """A sentence if the embedded fleet, whose broker only its processes reach, is down."""
        with self._database.read() as c:
            if capacity.count_live_slots(c, self._settings.lease_s):
                return []
        return [
            "no fleet is running in this folder; the job is kept in the database; start one"
            f" with: fitfleet up {self._database.option}"
        ]
