"""A scheduler on real servers, and a stand-in for a worker that takes messages off the broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.servers import Valkey

from fitfleet.db.attempts import leases
from fitfleet.db.attempts.leases import Claim
from fitfleet.db.session import Database
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings


class Taker:
    """Pops messages as a Celery worker does, and claims their jobs."""

    def __init__(self, server: Valkey, database: Database) -> None:
        self._client = server.client()
        self._database = database

    def pop(self, queue: str = "cpu") -> tuple[int, int] | None:
        """One message; None if none waits."""
        message: Any = self._client.rpop(queue)
        if message is None:
            return None
        job_id, dispatch_seq = json.loads(
            json.loads(message)["headers"]["argsrepr"].translate(_LIST)
        )
        return job_id, dispatch_seq

    def claim(self, message: tuple[int, int], worker: str = "host:1:0") -> Claim | None:
        """Claim the job of a message."""
        with self._database.begin() as c:
            return leases.claim(c, *message, worker, 60.0)

    def close(self) -> None:
        """Let go of the broker."""
        self._client.close()


_LIST = str.maketrans("()", "[]")


@pytest.fixture
def settings(valkey_url: str, database_url: str) -> Settings:
    return Settings(
        database_url=database_url,
        broker_url=valkey_url,
        lease_s=60.0,
        redispatch_s=60.0,
        backoff_s=0.0,
    )


@pytest.fixture
def scheduler(settings: Settings, database: Database) -> Scheduler:
    return Scheduler(settings, database)


@pytest.fixture
def taker(valkey_server: Valkey, database: Database) -> Iterator[Taker]:
    taker = Taker(valkey_server, database)
    yield taker
    taker.close()
