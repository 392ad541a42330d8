"""What the doctor finds, and the way out that it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.rows import insert, new_job
from support.servers import Valkey
from typer.testing import CliRunner

from fitfleet.cli.main import app
from fitfleet.client.doctor.doctor import examine_services
from fitfleet.client.doctor.storage import Finding, examine_storage
from fitfleet.db.migrations.revisions import newest_version
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.settings import Settings


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path, password="right")
    server.start()
    yield server
    server.stop()


def found(settings: Settings, name: str) -> Finding:
    return {finding.name: finding for finding in examine_services(settings)}[name]


def test_a_wrong_password_is_not_a_broker_that_is_down(sqlite_url: str, valkey: Valkey) -> None:
    right = Settings(database_url=sqlite_url, broker_url=valkey.url)
    assert found(right, "broker").is_ok
    wrong = found(right.replace(broker_url=valkey.url.replace("right", "wrong")), "broker")
    assert not wrong.is_ok and wrong.fix.startswith("set the broker's user and password")
    away = found(right.replace(broker_url="redis://127.0.0.1:1/0"), "broker")
    assert not away.is_ok and away.fix.startswith("start Redis or Valkey")


def test_another_kind_of_broker_is_named_with_those_that_work(sqlite_url: str) -> None:
    broker = found(Settings(database_url=sqlite_url, broker_url="amqp://h//"), "broker")
    assert not broker.is_ok and "'amqp' is not supported; use " in broker.detail


def test_the_weights_of_another_storage_are_missed(
    sqlite_url: str, valkey_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    insert(database, new_job("a"))
    with database.begin() as c:
        c.execute(jobs.update().values(artifact_path="a/weights.h5", finished_at=1.0))
    database.dispose()
    settings = Settings(database_url=sqlite_url, broker_url=valkey_url, storage=str(tmp_path))
    missed = found(settings, "weights")
    assert "a/weights.h5" in missed.detail and "same shared folder" in missed.fix
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights.h5").touch()
    assert "weights" not in {finding.name for finding in examine_services(settings)}


def test_a_storage_that_is_not_mounted_is_not_made(valkey_url: str, tmp_path: Path) -> None:
    settings = Settings(broker_url=valkey_url, storage=str(tmp_path / "shared"))
    (finding,) = examine_storage(settings)
    assert not finding.is_ok and "does not exist" in finding.detail
    assert not (tmp_path / "shared").exists()


def test_a_database_without_tables_is_fixed_by_the_command_it_names(
    empty_postgres_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(database_url=empty_postgres_url, broker_url=valkey_url)
    database = found(settings, "database")
    assert not database.is_ok and database.detail.endswith(f"needs {newest_version()}")
    assert database.fix.startswith("fitfleet db upgrade --database-url ")
    assert database.fix.endswith(", with the password in place of ***")
    monkeypatch.setenv("FITFLEET_DATABASE_URL", empty_postgres_url)
    command = found(settings, "database").fix.split()
    assert command == ["fitfleet", "db", "upgrade"]
    assert CliRunner().invoke(app, command[1:]).exit_code == 0
    assert found(settings, "database").is_ok
