"""Publishing waiting jobs, a window at a time, where slots are free."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fitfleet.db.accounts import keys
from fitfleet.db.fleet import capacity
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.fleet.dispatch_capacity import Ageing, capacity_now
from fitfleet.db.scheduling import dispatch
from fitfleet.db.scheduling.dispatch import Message
from fitfleet.db.session import Database
from fitfleet.queue import ping, publish
from fitfleet.settings import Settings

if TYPE_CHECKING:
    from fitfleet.queue import Celery

# Jobs may wait although slots are free: paused, at their max_running, or backing off. What frees
# them mostly changes the load; otherwise the queue is polled at this interval.
_FRUITLESS_S = 0.5


class Dispatcher:
    """Moves jobs from the database to the broker. An idle poll costs one statement."""

    def __init__(self, database: Database, app: Celery, settings: Settings) -> None:
        self._database = database
        self._app = app
        self._settings = settings
        self._fruitless: dict[str, tuple[QueueLoad, float]] = {}  # by queue, and when
        self._key = b""  # of messages; read with the first

    def poll(self) -> int:
        """Publish what the free slots may take; the number of messages.

        The rows are committed as DISPATCHED before the messages go out: a message that is lost
        costs a delay (recover), one that is sent twice claims nothing the second time.
        BrokerError and DatabaseError are the caller's.
        """
        with self._database.read() as c:
            loads = capacity.loads(c, self._settings.lease_s, only_waiting=True)
        return sum(self._fill(load) for load in loads if not self._is_known_as_fruitless(load))

    def forget(self) -> None:
        """Look at all queues the next time, whatever was found before."""
        self._fruitless.clear()

    def _fill(self, load: QueueLoad) -> int:
        # Nothing is published while no slot is free, so the broker's memory stays bounded.
        if load.room(self._settings.window) <= 0:
            return 0
        ping(self._app)  # while it is away the jobs stay QUEUED
        with self._database.begin() as c:
            self._key = self._key or keys.message_key(c, self._settings)
            room = capacity_now(c, load, self._settings.window, self._settings.lease_s)
            room.ageing = ageing(self._settings)
            messages = dispatch.dispatch_to(c, load.queue, room)
        for route in dict.fromkeys(message.route for message in messages):
            sent = [s for message in messages if message.route == route for s in _sent(message)]
            publish(self._app, route or load.queue, sent, self._key)
        if not messages:
            self._fruitless[load.queue] = load, time.monotonic()
        return len(messages)

    def _is_known_as_fruitless(self, load: QueueLoad) -> bool:
        seen, at = self._fruitless.get(load.queue, (None, 0.0))
        return seen == load and time.monotonic() - at < _FRUITLESS_S


def ageing(settings: Settings) -> Ageing:
    """How waiting raises priorities in this fleet."""
    return Ageing(settings.ageing_s, settings.ageing_max)


def _sent(message: Message) -> list[tuple[int, int]]:
    """What is published. Slots that are kept are only woken: such a message claims nothing."""
    return [(message.job_id, 0)] * message.kept if message.kept else [message[:2]]
