"""A storage that is not the fleet's is refused by workers and told by the doctor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.s3 import Proxy

from fitfleet.client.doctor.doctor import examine_services
from fitfleet.client.doctor.storage import examine_storage
from fitfleet.db.fleet.storage_marker import NAME, ForeignStorageError, check, mark
from fitfleet.db.schema.tables import fleet_keys
from fitfleet.db.session import Database
from fitfleet.errors import StorageError, StorageRefusedError
from fitfleet.settings import Settings


@pytest.fixture
def postgres(postgres_url: str) -> Database:
    return Database(postgres_url)


def _at(folder: Path) -> Settings:
    return Settings(storage=str(folder))


def _another_fleet(database: Database) -> None:
    """As a database that was made by its own migrations, and knows no storage yet."""
    with database.begin() as c:
        c.execute(fleet_keys.delete().where(fleet_keys.c.name == "storage"))
        c.execute(fleet_keys.update().values(value="another key"))


def test_the_first_worker_marks_the_storage_and_others_find_it(
    database: Database, tmp_path: Path
) -> None:
    shared = _at(tmp_path / "shared")
    check(database, shared)  # a fleet of before there were markers
    assert not (tmp_path / "shared").exists()
    mark(database, shared)
    marker = (tmp_path / "shared" / NAME).read_text()
    mark(database, shared)
    check(database, shared)
    assert (tmp_path / "shared" / NAME).read_text() == marker
    assert [path.name for path in (tmp_path / "shared").iterdir()] == [NAME]


def test_a_host_with_a_folder_of_its_own_is_reported(postgres: Database, tmp_path: Path) -> None:
    mark(postgres, _at(tmp_path / "shared"))
    own = _at(tmp_path / "own")
    for ask in (check, mark):
        with pytest.raises(ForeignStorageError, match="is not there; mount it, or set FITFLEET_ST"):
            ask(postgres, own)
    assert not (tmp_path / "own").exists()
    with pytest.raises(ForeignStorageError) as told:
        check(postgres, own)
    said = str(told.value).rsplit(", write ", 1)[1]  # the way out for files that were moved
    content, _, file = said.partition(" to ")
    Path(file).parent.mkdir()
    Path(file).write_text(content)
    mark(postgres, own)


def test_of_a_folder_that_is_not_mounted_the_doctor_says_only_that(
    postgres: Database, tmp_path: Path
) -> None:
    mark(postgres, _at(tmp_path / "shared"))
    url = postgres.url.render_as_string(hide_password=False)
    own = Settings(database_url=url, storage=str(tmp_path / "own"))

    def failed() -> list[str]:
        found = [*examine_services(own), *examine_storage(own)]
        return [finding.name for finding in found if finding.name in ("storage", "marker")]

    assert failed() == ["storage"]
    Path(own.storage).mkdir()
    assert failed() == ["marker", "storage"]


def test_two_storages_are_distinguished_whoever_was_first(
    database: Database, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        mark(database, _at(tmp_path / name))
        with database.begin() as c:
            c.execute(fleet_keys.delete().where(fleet_keys.c.name == "storage"))
    mark(database, _at(tmp_path / "one"))
    with pytest.raises(ForeignStorageError, match="this is another storage"):
        mark(database, _at(tmp_path / "two"))


def test_a_start_that_died_half_way_is_gone_on_with(database: Database, tmp_path: Path) -> None:
    mark(database, _at(tmp_path))
    marker = (tmp_path / NAME).read_text()
    with database.begin() as c:
        c.execute(fleet_keys.delete().where(fleet_keys.c.name == "storage"))
    mark(database, _at(tmp_path))
    assert (tmp_path / NAME).read_text() == marker


def test_the_storage_of_another_fleet_is_not_taken(postgres: Database, tmp_path: Path) -> None:
    mark(postgres, _at(tmp_path))
    _another_fleet(postgres)
    with pytest.raises(ForeignStorageError, match=r"another fleet's than .*remove that file"):
        mark(postgres, _at(tmp_path))
    (tmp_path / NAME).unlink()
    mark(postgres, _at(tmp_path))


def test_on_one_machine_a_storage_may_be_emptied_and_a_database_made_anew(
    sqlite_url: str, tmp_path: Path
) -> None:
    database, storage = Database(sqlite_url), tmp_path / "storage"
    mark(database, _at(storage))
    shutil.rmtree(storage)
    check(database, _at(storage))
    mark(database, _at(storage))
    _another_fleet(database)
    mark(database, _at(storage))
    check(database, _at(storage))


def test_a_storage_that_cannot_be_read_is_only_warned_of(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    mark(database, _at(tmp_path / "file"))
    assert "cannot check whether the storage belongs to this fleet" in caplog.text
    with pytest.raises(StorageError):
        check(database, _at(tmp_path / "file"))


def test_a_bucket_is_marked_too(postgres: Database, settings: Settings, proxy: Proxy) -> None:
    mark(postgres, settings)
    check(postgres, settings)
    with pytest.raises(
        ForeignStorageError, match=f"s3://fleet/.*/elsewhere/{NAME}, which .* not there; set"
    ):
        check(postgres, settings.replace(storage=f"{settings.storage}/elsewhere"))


def test_a_worker_that_a_bucket_refuses_does_not_start(
    postgres: Database, settings: Settings, proxy: Proxy
) -> None:
    """Each of its jobs would fail, and its attempts would be used up in a minute."""
    proxy.set(GET="denied", HEAD="denied")
    with pytest.raises(StorageRefusedError, match=f"s3://fleet/.*/{NAME}: cannot be read: "):
        mark(postgres, settings)
    proxy.set()
    mark(postgres, settings)


def test_a_worker_refuses_and_the_doctor_says_the_same(
    postgres_url: str, valkey_url: str, tmp_path: Path
) -> None:
    database = Database(postgres_url)
    mark(database, _at(tmp_path / "shared"))
    (tmp_path / "own").mkdir()
    settings = Settings(
        database_url=postgres_url, broker_url=valkey_url, storage=str(tmp_path / "own")
    )
    (finding,) = [f for f in examine_services(settings) if f.name == "marker"]
    assert not finding.is_ok and finding.detail.endswith("is not there")
    assert finding.fix.startswith("mount it, or set FITFLEET_STORAGE")
    worker = subprocess.run(
        [sys.executable, "-m", "fitfleet", "worker", "--database-url", postgres_url,
         "--broker-url", valkey_url],
        env={"PATH": "", "FITFLEET_STORAGE": settings.storage, "PYTHONPATH": ":".join(sys.path)},
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert worker.returncode not in (0, None) and "Traceback" not in worker.stderr
    assert f"{NAME}, which the fleet's storage has, is not there; mount it" in worker.stderr
    fine = settings.replace(storage=str(tmp_path / "shared"))
    assert "marker" not in {finding.name for finding in examine_services(fine)}
