"""`fitfleet archive`: Parquet of all rows and the weights, read back, and then nothing in SQL."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from sqlalchemy import update
from support.simulated_worker import StandIn, arguments, write_data, write_files
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.cli.main import app
from fitfleet.db.jobs import archive as source
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError, StateError, StorageError
from fitfleet.scheduler import archive as archiving
from fitfleet.scheduler.archive import archive
from fitfleet.scheduler.maintenance import Retention
from fitfleet.settings import Settings, directory_settings
from fitfleet.storage import Storage

GRID: dict[str, Any] = {"search": "grid", "trials": None, "optimizer": "sgd"}


@pytest.fixture
def fleet(tmp_path: Path, database: Database) -> ff.Fleet:
    settings = write_data(tmp_path).replace(
        storage=str(tmp_path / "storage"), logs=str(tmp_path / "logs")
    )
    return ff.Fleet(settings, database)


def finished(fleet: ff.Fleet) -> list[ff.Job]:
    """The three jobs of a sweep, with weights."""
    sweep = fleet.sweep(**arguments(**GRID)).submit()
    StandIn(fleet.database).work()
    sweep.run()
    write_files(fleet, sweep.jobs())
    with fleet.database.begin() as c:
        digest = hashlib.sha256(b"x" * 1000).hexdigest()
        c.execute(update(jobs).values(artifact_sha256=digest))
    return sweep.jobs()


def view(database: Database, name: str) -> list[tuple[Any, ...]]:
    with database.read() as c:
        rows = c.exec_driver_sql(f"SELECT * FROM {name}").fetchall()
    return sorted((tuple(row) for row in rows), key=repr)


def read(folder: Path, name: str) -> list[tuple[Any, ...]]:
    query = f"SELECT * FROM read_parquet('{folder}/{name}.parquet')"
    return sorted(duckdb.sql(query).fetchall(), key=repr)


def test_an_archive_has_every_row_and_the_weights(
    fleet: ff.Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_MAX_EPOCHS", 5)  # parts of one job
    three = finished(fleet)
    before = {name: view(database, name) for name in ("runs", "curves", "events")}
    assert len(before["curves"]) == 3 * 4 * 2
    done = archive(database, fleet.settings, "net")
    folder = Path(fleet.settings.storage) / done.folder
    for name, rows in before.items():
        assert read(folder, name) == rows
    assert view(database, "runs") == view(database, "curves") == []
    assert {path.name: path.read_bytes() for path in (folder / "weights").iterdir()} == {
        f"{job.id}.weights.h5": b"x" * 1000 for job in three
    }
    told = json.loads((folder / "archive.json").read_text())
    assert told["rows"] == done.rows and told["rows"]["runs"] == 3 and done.rows["trials"] == 3
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        *done.files
    }
    specs = pd.read_parquet(folder / "specs.parquet")
    assert [json.loads(text)["epochs"] for text in specs["spec"]] == [4] * 3
    assert pd.read_parquet(folder / "runs.parquet")["seed"].dtype == "int64"
    left = [path for path in Path(fleet.settings.storage).iterdir() if path.name != ".archive"]
    assert left == [], "its other files are removed"
    assert fleet.disk_usage().shared["archived experiments"] > 3000
    with pytest.raises(NotFoundError, match="there is no experiment 'net'"):
        archive(database, fleet.settings, "net")


def _spoilt(settings: Settings, relative: str) -> None:
    (Path(settings.storage) / relative).write_bytes(b"PAR1 damaged on its way")


def test_what_cannot_be_read_back_is_not_removed(
    fleet: ff.Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(fleet)
    before = view(database, "runs")
    keep = Storage.keep

    def damaging(self: Storage, draft: Any, relative: str) -> None:
        keep(self, draft, relative)
        if relative.endswith("curves.parquet"):
            _spoilt(fleet.settings, relative)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "keep", damaging)
        with pytest.raises(StorageError, match=r"curves\.parquet: is not what was written"):
            archive(database, fleet.settings, "net")
    assert view(database, "runs") == before
    assert not (Path(fleet.settings.storage) / ".archive").exists()


def test_weights_that_are_damaged_are_reported_and_those_not_there_are_named(
    fleet: ff.Fleet, database: Database
) -> None:
    first, second, _ = finished(fleet)
    first.weights_path.write_bytes(b"damaged")
    with pytest.raises(StorageError, match=r"is not the file that was written; move it away"):
        archive(database, fleet.settings, "net")
    first.weights_path.unlink()
    done = archive(database, fleet.settings, "net")
    assert done.missing == [first.id] and f"weights/{second.id}.weights.h5" in done.files


def test_a_job_that_runs_meanwhile_keeps_its_experiment(
    fleet: ff.Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = finished(fleet)
    check = archiving._check

    def extending(*about: Any) -> None:
        check(*about)
        first.extend(epochs=5)
        StandIn(database).work()

    monkeypatch.setattr(archiving, "_check", extending)
    with pytest.raises(StateError, match="have run meanwhile; try again"):
        archive(database, fleet.settings, "net")
    assert len(fleet.jobs("net")) == 3
    assert not (Path(fleet.settings.storage) / ".archive").exists()


def test_only_what_has_ended_is_archived(fleet: ff.Fleet, database: Database) -> None:
    fleet.sweep(**arguments(**GRID)).submit()
    with pytest.raises(StateError, match=r"3 of 3 jobs have not ended; .* cancel -e net$"):
        archive(database, fleet.settings, "net")


def test_the_scheduler_archives_by_age(fleet: ff.Fleet, database: Database) -> None:
    finished(fleet)
    keeping = fleet.settings.replace(archive_days=2.0)
    Retention(fleet.settings)(database)  # 0 days: never
    Retention(keeping)(database)
    assert len(fleet.jobs("net")) == 3
    with database.begin() as c:
        c.execute(update(jobs).values(finished_at=jobs.c.finished_at - 3 * 86_400.0))
    Retention(keeping)(database)
    assert fleet.jobs() == []
    (folder,) = (Path(fleet.settings.storage) / ".archive").iterdir()
    assert len(read(folder, "runs")) == 3


def test_the_command_archives_and_removes(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    settings = write_data(tmp_path).replace(**directory_settings(folder))
    folder.mkdir()
    database = Database(settings.database_url)
    database.upgrade()
    with ff.Fleet(settings, database) as fleet:
        finished(fleet)
    place = ["--directory", str(folder), "--data-root", str(tmp_path)]
    refused = CliRunner().invoke(app, ["archive", "net", *place])
    assert refused.exit_code == 2 and "confirm with --yes" in refused.output
    result = CliRunner().invoke(app, ["archive", "net", "--yes", *place])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert said.startswith("archived net: 3 jobs, 24 metrics, 3 weights files, ")
