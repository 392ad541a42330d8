"""A host that joins has a role of PostgreSQL of its own, which ends with its token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from support.rows import insert, new_job, take
from support.servers import Postgres
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.api.host_settings import settings_for
from fitfleet.cli.main import app
from fitfleet.db.accounts import host_roles, tokens
from fitfleet.db.actor import Actor, Scope
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.scheduler.maintenance import HostRoles
from fitfleet.settings import Settings

ROLES = Path(__file__).parents[3] / "deploy" / "postgres" / "roles.sql"
NAMES = ("fitfleet_service", "fitfleet_reader", "fitfleet_host")


@pytest.fixture
def service_url(postgres_server: Postgres, postgres_url: str) -> Iterator[str]:
    """The database with its roles, as the service signs in."""
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(ROLES.read_text())
        owner.execute("ALTER ROLE fitfleet_service LOGIN PASSWORD 'service'")
    yield postgres_url.replace(f"fitfleet:{postgres_server.password}", "fitfleet_service:service")
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        for (name,) in owner.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'fitfleet\\_host\\_%'"
        ).fetchall():
            owner.execute(f"DROP ROLE {name}")
        owner.execute(f"DROP OWNED BY {', '.join(NAMES)}")
        for name in NAMES:
            owner.execute(f"DROP ROLE {name}")


@pytest.fixture
def fleet(service_url: str, valkey_url: str) -> Iterator[ff.Fleet]:
    """As the API holds it."""
    settings = Settings(database_url=service_url, broker_url=valkey_url)
    with ff.Fleet(settings, Database(service_url)) as fleet:
        yield fleet


@pytest.fixture
def join(fleet: ff.Fleet) -> Iterator[Callable[..., tuple[str, Database]]]:
    """Lets a host join: the number of its token, and the database as the host reaches it."""
    opened: list[Database] = []

    def joined(expires_s: float | None = None) -> tuple[str, Database]:
        with fleet.database.begin() as c:
            number = tokens.create(c, "hosts", Scope.WORK, expires_s).split("_")[1]
        actor = Actor("hosts", Scope.WORK, number)
        said = settings_for(fleet, "127.0.0.1", actor)["settings"]
        opened.append(Database(said["database_url"]))
        return number, opened[-1]

    yield joined
    for database in opened:
        database.dispose()


def test_a_host_works_as_itself_and_is_put_out_with_its_token(
    fleet: ff.Fleet, join: Callable[..., tuple[str, Database]]
) -> None:
    (number, host), (_, other) = join(), join()
    insert(fleet.database, new_job("a"), new_job("b"))
    host.check_schema()
    assert len(take(host, 1)) == 1
    for refused in (
        "DELETE FROM access_tokens",
        "UPDATE fleet_users SET max_running = NULL",
        "UPDATE fleet_groups SET shares = 99",
    ):
        with pytest.raises(DatabaseError, match="permission denied"), host.begin() as c:
            c.exec_driver_sql(refused)
    options = ["--database-url", fleet.settings.database_url]
    done = CliRunner().invoke(app, ["token", "revoke", number, *options])
    assert done.exit_code == 0
    assert f"role fitfleet_host_{number}_" in done.output and "is dropped" in done.output
    assert "know the broker's password" in done.output
    for _ in range(2):  # its open connection, and a new one
        with pytest.raises(DatabaseError):
            take(host, 1)
    assert len(take(other, 1)) == 1


def test_the_scheduler_puts_out_hosts_whose_token_has_expired(
    fleet: ff.Fleet, join: Callable[..., tuple[str, Database]], postgres_url: str
) -> None:
    (expired, host), (kept, other) = join(expires_s=3600.0), join()
    for database in (host, other):
        with database.read() as c:
            c.exec_driver_sql("SELECT 1")
    with fleet.database.begin() as c:
        c.execute(tokens.tokens.update().where(tokens.tokens.c.id == expired).values(expires_at=1))
    HostRoles()(fleet.database)
    with pytest.raises(DatabaseError), host.read() as c:
        c.exec_driver_sql("SELECT 1")
    with other.read() as c:
        c.exec_driver_sql("SELECT 1")
    with psycopg.connect(postgres_url) as owner:
        left = owner.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%host\\_%'")
        assert [name.split("_")[2] for (name,) in left.fetchall()] == [kept]


def test_who_may_not_drop_a_role_says_who_does(
    fleet: ff.Fleet, join: Callable[..., tuple[str, Database]], postgres_url: str, service_url: str
) -> None:
    number, host = join()
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute("ALTER ROLE fitfleet_service NOCREATEROLE")
    options = ["--database-url", service_url]
    done = CliRunner().invoke(app, ["token", "revoke", number, *options])
    assert "the scheduler drops" in done.output
    with host.read() as c:
        c.exec_driver_sql("SELECT 1")


def test_without_the_roles_revoking_says_what_to_change(sqlite_url: str, postgres_url: str) -> None:
    for url in (sqlite_url, postgres_url):
        database = Database(url)
        with database.begin() as c:
            assert not host_roles.may_create(c)
            number = tokens.create(c, "hosts", Scope.WORK).split("_")[1]
        database.dispose()
        done = CliRunner().invoke(app, ["token", "revoke", number, "--database-url", url])
        assert done.exit_code == 0
        assert "they were told the password of the database: change it" in done.output
