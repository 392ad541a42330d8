"""What a worker service says of itself: its heartbeat, over one connection, and its pages."""

from __future__ import annotations

import math
import os
import time
import urllib.error
import urllib.request

import pytest

from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.worker.process.idle_limit import IdleLimit
from fitfleet.worker.process.readiness import outage, warmth
from fitfleet.worker.process.serving import _Registration

_OWN = "SELECT pg_backend_pid()"


def test_the_heartbeat_of_a_service_keeps_its_connection(postgres_url: str) -> None:
    settings = Settings(database_url=postgres_url, heartbeat_s=3600.0)
    presence = _Registration(settings, "fleet@here", [], IdleLimit(math.inf))
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


def _status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_worker_is_ready_while_the_database_answers(sqlite_url: str) -> None:
    presence = _Registration(
        Settings(database_url=sqlite_url), "fleet@here", [], IdleLimit(math.inf)
    )
    port = presence.serve("127.0.0.1:0")
    assert [_status(port, path) for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
    outage.begin()
    try:
        assert [_status(port, path) for path in ("/healthz", "/readyz")] == [200, 503]
    finally:
        outage.end()
    presence._beaten_at -= 3600.0
    assert _status(port, "/healthz") == 503


def test_the_time_without_a_job_runs_from_when_a_child_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = IdleLimit(0.2)
    monkeypatch.setattr(warmth, "has_child", False)  # it imports TensorFlow
    time.sleep(0.3)
    assert not limit.is_over()
    monkeypatch.setattr(warmth, "has_child", True)
    time.sleep(0.3)
    assert limit.is_over()
