"""The heartbeat of a worker service keeps one connection to PostgreSQL, also when it forks."""

from __future__ import annotations

import os

from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.worker.process.service import _Presence

_OWN = "SELECT pg_backend_pid()"


def test_the_heartbeat_of_a_service_keeps_its_connection(postgres_url: str) -> None:
    settings = Settings(database_url=postgres_url, heartbeat_s=3600.0)
    presence = _Presence(settings, "fleet@here", ["cpu"])
    database = Database(postgres_url)
    presence.start(database)
    presence.run()
    try:
        seen = []
        for _ in range(3):
            assert not presence._is_to_drain()
            with presence._database.read() as c:
                seen.append(c.exec_driver_sql(_OWN).scalar_one())
            child = os.fork()
            if not child:
                # A child that is replaced: what it inherits is let go of when it ends.
                presence._database.dispose()
                os._exit(0)
            os.waitpid(child, 0)
        assert len(set(seen)) == 1
    finally:
        presence.stop()
        database.dispose()
