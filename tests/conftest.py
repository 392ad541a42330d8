"""Real servers for all tests: started when the first test asks, stopped at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from support.servers import Postgres, Valkey

from fitfleet.db.driver import load_driver
from fitfleet.db.session import Database

if TYPE_CHECKING:
    from support.s3 import S3

# Tests import psycopg and TensorFlow in any order: its OpenSSL has to be kept apart before both.
load_driver()

# On a busy machine no example of a property is too slow.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


_TEMPLATE = "fitfleet_template"

# What is tested on both databases runs on this one of them in `make test`, the other is slow:
# in these folders SQL is used, while tests of the statements themselves are in integration/db.
_QUICK_DATABASE = {
    "integration/sweeps": "sqlite",
    "integration/storage": "sqlite",
    "acceptance": "sqlite",
    "integration/scheduler": "postgresql",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests on the second database of a folder as slow."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.parent
        chosen = _QUICK_DATABASE.get(folder.relative_to(here).as_posix())
        used = item.callspec.params.get("database_url") if hasattr(item, "callspec") else None
        if chosen is not None and used not in (None, chosen):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Traced programs of this session's fleets, apart from those of the user."""
    folder = tmp_path_factory.mktemp("programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FITFLEET_PROGRAMS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey with a password, shared by the tests that do not stop it."""
    server = Valkey(tmp_path_factory.mktemp("valkey"), password="s3cret-of-the-broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey_url(valkey_server: Valkey) -> str:
    """Broker URL of an empty Valkey over TCP with a password."""
    valkey_server.flush()
    return valkey_server.url


@pytest.fixture
def open_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey without a password of the test's own, to be stopped and frozen at will."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    server = Valkey(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """A real S3 server with a bucket `fleet`."""
    from support.s3 import S3

    server = S3()
    try:
        server.start("fleet")
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL with a template database that has fitfleet's tables."""
    server = Postgres()
    try:
        server.start()
        server.execute(f"CREATE DATABASE {_TEMPLATE}")
        database = Database(server.url(_TEMPLATE))
        database.upgrade()
        database.dispose()
        yield server
    finally:
        server.remove()


@pytest.fixture
def empty_postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """URL of a fresh PostgreSQL database without any table."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """URL of a fresh PostgreSQL database with fitfleet's tables."""
    name = postgres_server.create_database(_TEMPLATE)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with fitfleet's tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    database.dispose()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a fresh SQLite file with fitfleet's tables."""
    shutil.copy(sqlite_template, tmp_path / "fleet.db")
    return f"sqlite:///{tmp_path / 'fleet.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh database with fitfleet's tables, on each of both."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database with fitfleet's tables, on each of both."""
    database = Database(database_url)
    yield database
    database.dispose()
