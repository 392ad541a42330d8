"""The backup and the restore that docs/how-to/administer.md describes, command by command."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from support.rows import insert, new_job, status, take
from support.servers import Postgres

from fitfleet.db.scheduling import recovery
from fitfleet.db.session import Database
from fitfleet.states import JobStatus


def _assert_is_resumed(restored: Database, running: int, waiting: int) -> None:
    """What ran at the time of the backup is taken back, what waited still waits."""
    restored.check_schema()
    with restored.begin() as c:
        assert recovery.requeue_expired(c, 0.0) == [running]
    assert status(restored, running) is JobStatus.QUEUED
    assert sorted(claim.job_id for claim in take(restored, 2)) == [running, waiting]
    restored.dispose()


def test_a_sqlite_database_is_copied_while_it_is_in_use(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/fleet.db")
    database.upgrade()
    running, waiting = insert(database, new_job("a"), new_job("b"))
    take(database, 1, lease_s=-1.0)
    with database.begin(), closing(sqlite3.connect(tmp_path / "fleet.db")) as reader:
        reader.execute(f"VACUUM INTO '{tmp_path}/backup.db'")  # beside a transaction that writes
    insert(database, new_job("later"))
    database.dispose()
    for left in tmp_path.glob("fleet.db*"):
        left.unlink()
    shutil.copy(tmp_path / "backup.db", tmp_path / "fleet.db")
    _assert_is_resumed(Database(f"sqlite:///{tmp_path}/fleet.db"), running, waiting)


def test_a_postgresql_database_is_dumped_and_restored(
    postgres_server: Postgres, postgres_url: str, tmp_path: Path
) -> None:
    database = Database(postgres_url)
    running, waiting = insert(database, new_job("a"), new_job("b"))
    take(database, 1, lease_s=-1.0)
    dump = tmp_path / "fleet.dump"
    postgres_server.tool("pg_dump", "--format=custom", "--file", str(dump), postgres_url)
    insert(database, new_job("later"))
    database.dispose()
    postgres_server.tool("pg_restore", "--clean", "--if-exists", "-d", postgres_url, str(dump))
    _assert_is_resumed(Database(postgres_url), running, waiting)
