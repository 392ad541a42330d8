"""The database as a place: transactions, errors, folders, versions."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.servers import Postgres, free_port

from fitfleet.db.migrations.revisions import changes_since, newest_version
from fitfleet.db.session import Database, now, read_clock
from fitfleet.errors import DatabaseError, SettingsError

_INSERT = "INSERT INTO experiments (name, created_at, is_paused) VALUES"


def _cut_connections(server: Postgres) -> None:
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND usename = 'fitfleet'"
    )


def test_the_clock_is_the_databases_and_finer_than_a_second(database: Database) -> None:
    with database.read() as c:
        seen = {round(read_clock(c), 3) for _ in range(50)}
        at = c.execute(sa.select(now(c))).scalar_one()
    assert abs(at - time.time()) < 5
    assert any(value % 1 for value in seen)


def test_an_error_rolls_back(database: Database) -> None:
    with pytest.raises(RuntimeError), database.begin() as c:
        c.execute(sa.text(f"{_INSERT} ('a', 0, false)"))
        raise RuntimeError
    with database.read() as c:
        assert c.execute(sa.text("SELECT count(*) FROM experiments")).scalar_one() == 0


def test_a_driver_error_becomes_one_sentence(database: Database) -> None:
    with pytest.raises(DatabaseError) as caught, database.begin() as c:
        c.execute(sa.text("SELECT * FROM nothing_of_that_name"))
    assert "nothing_of_that_name" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "fitfleet doctor" in str(caught.value)


def test_foreign_keys_hold(database: Database) -> None:
    statement = "INSERT INTO job_specs (job_id, spec, options) VALUES (99, '{}', '{}')"
    with pytest.raises(DatabaseError), database.begin() as c:
        c.execute(sa.text(statement))


def test_the_schema_is_checked(database: Database, tmp_path: Path) -> None:
    database.check_schema()
    empty = Database(f"sqlite:///{tmp_path}/deep/er/empty.db")
    with pytest.raises(DatabaseError, match=r"no tables of fitfleet.*fitfleet db upgrade"):
        empty.check_schema()
    empty.upgrade()
    assert empty.schema_version() == newest_version()
    empty.dispose()


def test_another_schema_says_which_side_to_upgrade(database: Database, tmp_path: Path) -> None:
    statement = sa.text("UPDATE alembic_version SET version_num = :found")
    with database.begin() as c:
        c.execute(statement, {"found": "9999"})
    for use in (database.check_schema, database.upgrade):
        with pytest.raises(DatabaseError, match=r"schema 9999.*pip install -U fitfleet"):
            use()
    with database.begin() as c:
        c.execute(statement, {"found": "0001"})
    with pytest.raises(DatabaseError, match=r"schema 0001.*run: fitfleet db upgrade --(data|dire)"):
        database.check_schema()
    folder = tmp_path / "a fleet"
    embedded = Database(f"sqlite:///{folder}/fleet.db")
    with pytest.raises(DatabaseError, match=rf"db upgrade --directory '{folder}'"):
        embedded.check_schema()
    embedded.dispose()


def test_a_file_is_copied_as_it_is(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/fleet.db")
    assert database.back_up() is None
    database.upgrade()
    with database.begin() as c:
        c.execute(sa.text(f"{_INSERT} ('kept', 0, false)"))
    copy = Database(f"sqlite:///{database.back_up()}")
    with copy.read() as c:
        assert c.execute(sa.text("SELECT name FROM experiments")).scalar_one() == "kept"
    copy.check_schema()
    for opened in (copy, database):
        opened.dispose()
    assert [revision for revision, _ in changes_since("0004")][:1] == ["0005"]
    assert changes_since(newest_version()) == []


def test_a_wrong_password_is_not_repeated(postgres_server: Postgres) -> None:
    url = postgres_server.url().replace(postgres_server.password, "geheim")
    for used in (url, url.replace("fitfleet:geheim@", "") + "?user=fitfleet&password=geheim"):
        database = Database(used)
        with pytest.raises(DatabaseError) as caught, database.read():
            pass
        assert "password authentication failed" in str(caught.value)
        assert "geheim" not in str(caught.value)


def test_a_server_that_is_away_is_reported() -> None:
    database = Database(f"postgresql://fitfleet:geheim@127.0.0.1:{free_port()}/fleet")
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1") as caught, database.begin():
        pass
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["fleet.db", "mysql://root@host/fleet", ""])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="database_url"):
        Database(url)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="cannot be made"):
        Database(f"sqlite:///{tmp_path}/file/fleet.db")


def test_writers_of_one_file_wait_their_turn(sqlite_url: str) -> None:
    databases = [Database(sqlite_url) for _ in range(4)]

    def add(database: Database) -> None:
        for _ in range(25):
            with database.begin() as c:
                count = c.execute(sa.text("SELECT count(*) FROM experiments")).scalar_one()
                statement = f"{_INSERT} ('e{count}', 0, false)"
                c.execute(sa.text(statement))

    threads = [threading.Thread(target=add, args=(connected,)) for connected in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with databases[0].read() as c:
        assert c.execute(sa.text("SELECT count(*) FROM experiments")).scalar_one() == 100
    for connected in databases:
        connected.dispose()


def test_a_connection_cut_by_a_restart_is_replaced(
    postgres_url: str, postgres_server: Postgres
) -> None:
    database = Database(postgres_url)
    with database.read() as c:
        read_clock(c)
    _cut_connections(postgres_server)
    with database.read() as c:
        read_clock(c)
    with pytest.raises(DatabaseError), database.begin() as c:
        _cut_connections(postgres_server)
        read_clock(c)
    with database.begin() as c:
        read_clock(c)
    database.dispose()


def test_a_server_gone_without_a_word_is_given_up(postgres_url: str) -> None:
    for url, milliseconds in ((postgres_url, "20000"), (f"{postgres_url}?tcp_user_timeout=7", "7")):
        database = Database(url)
        with database.read() as c:
            driver = c.connection.driver_connection
            assert driver is not None
            parameters = driver.info.get_parameters()
        assert (parameters["tcp_user_timeout"], parameters["keepalives_idle"]) == (
            milliseconds,
            "10",
        )
        database.dispose()
