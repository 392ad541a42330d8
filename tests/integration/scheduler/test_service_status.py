"""Whether a scheduler runs, and whether a queue is served, is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.rows import insert, new_job
from support.waiting import until
from typer.testing import CliRunner

from fitfleet.cli.main import app
from fitfleet.client.doctor.doctor import examine_services
from fitfleet.db.fleet import workers
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.session import Database
from fitfleet.queue import celery_app, scheduler_seen
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings


@pytest.fixture
def settings(sqlite_url: str, valkey_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=sqlite_url, broker_url=valkey_url, storage=str(tmp_path))


def test_doctor_sees_whether_a_scheduler_runs(settings: Settings) -> None:
    checks = {check.name: check for check in examine_services(settings)}
    assert not checks["scheduler"].is_ok and checks["scheduler"].fix == "fitfleet scheduler"
    database = Database(settings.database_url)
    Scheduler(settings, database).tick()
    database.dispose()
    checks = {check.name: check for check in examine_services(settings)}
    assert checks["scheduler"].is_ok and "running: " in checks["scheduler"].detail
    until(lambda: scheduler_seen(celery_app(settings)) is not None)


def test_ps_says_which_queue_no_worker_serves(settings: Settings) -> None:
    database = Database(settings.database_url)
    insert(database, new_job("a", queue="gpu"))
    place = ["--database-url", settings.database_url]
    assert "warning" not in CliRunner().invoke(app, ["ps", *place]).output
    with database.begin() as c:
        workers.register(c, [Slot("s", "s@vm", "vm", 1, 0, "cpu", "cpu")])
    shown = CliRunner().invoke(app, ["ps", *place]).output
    assert "no worker serves the queue 'gpu'" in shown and "fitfleet worker --queue gpu" in shown
    database.dispose()
