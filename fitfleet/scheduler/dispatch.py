"""Publishing waiting jobs, a window at a time, where slots are free."""

from __future__ import annotations

from celery import Celery

from fitfleet.db import placing
from fitfleet.db.session import Database
from fitfleet.queue import ping, publish
from fitfleet.settings import Settings


def dispatch(database: Database, app: Celery, settings: Settings) -> int:
    """Publish what the free slots may take; the number of messages.

    The rows are committed as DISPATCHED before the messages go out: a message that is lost costs
    a delay (recover), one that is sent twice claims nothing the second time. BrokerError and
    DatabaseError are the caller's.
    """
    sent = 0
    for load in _loads(database, settings):
        # Nothing is published while no slot is free, so the broker's memory stays bounded.
        room = settings.window * load.free - load.dispatched
        if room <= 0:
            continue
        ping(app)  # while it is away the jobs stay QUEUED
        with database.begin() as c:
            messages = placing.dispatch(c, load.queue, room)
        if messages:
            publish(app, load.queue, messages)
            sent += len(messages)
    return sent


def _loads(database: Database, settings: Settings) -> list[placing.QueueLoad]:
    with database.read() as c:
        if not placing.has_waiting(c):
            return []
        return placing.loads(c, alive_s=settings.lease_s)
