"""Requeueing what was lost: jobs of dead workers, and messages that the broker has lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fitfleet.db.accounts import keys
from fitfleet.db.fleet import capacity, gangs
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.jobs import dependencies
from fitfleet.db.scheduling import backfill, dispatch, recovery
from fitfleet.db.session import Database
from fitfleet.queue import publish, waiting
from fitfleet.settings import Settings

if TYPE_CHECKING:
    from fitfleet.queue import Celery


def requeue_expired(database: Database, settings: Settings) -> list[int]:
    """Give jobs with an expired lease back to the queue, or fail them at their limit; their ids."""
    with database.begin() as c:
        return recovery.requeue_expired(c, settings.backoff_s)


def settle_dependents(database: Database) -> None:
    """Queue jobs whose parent has succeeded, and fail those whose parent has not."""
    with database.begin() as c:
        dependencies.settle(c)


def hold_kept_slots(database: Database, app: Celery, settings: Settings) -> list[int]:
    """Extend the reservations for jobs on several GPUs, and backfill idle slots; jobs there."""
    with database.read() as c:
        queues = gangs.waiting_queues(c)
    if not queues:
        return []
    job_ids: list[int] = []
    with database.begin() as c:
        gangs.extend_leases(c, queues, settings.lease_s)
    _wake(database, app, settings)
    for load in _loads_of(database, settings, queues):
        with database.begin() as c:
            job_ids += backfill.reserve(c, load, settings.lease_s)
    return job_ids


def _wake(database: Database, app: Celery, settings: Settings) -> None:
    """Tell idle children of kept slots again, whose message the broker has lost."""
    with database.read() as c:
        asleep = gangs.idle_kept_slots(c)
        key = keys.message_key(c, settings) if asleep else b""
    for job_id, route, count in asleep:
        if route and waiting(app, route) == 0:
            publish(app, route, [(job_id, 0)] * count, key)


def _loads_of(database: Database, settings: Settings, queues: list[str]) -> list[QueueLoad]:
    with database.read() as c:
        return [load for load in capacity.loads(c, settings.lease_s) if load.queue in queues]


def redispatch(database: Database, app: Celery, settings: Settings) -> list[int]:
    """Give jobs whose message is gone from the broker back to the queue; their ids.

    Only while the broker holds no message of the queue: otherwise a job that merely waits behind
    a long one would be published again and again (docs/decisions/0001-lost-messages.md). What was
    sent to slots of certain labels comes back as well once none of them takes jobs.
    """
    with database.read() as c:
        queues = dispatch.dispatched_queues(c)
        served = dispatch.served_routes(c, settings.lease_s)
    job_ids: list[int] = []
    for queue, route in queues:
        is_lost = (route and route not in served) or waiting(app, route or queue) == 0
        if is_lost:
            with database.begin() as c:
                job_ids += dispatch.redispatch(c, queue, settings.redispatch_s, route)
    return job_ids
