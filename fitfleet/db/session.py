"""The database: one transaction at a time, on SQLite and PostgreSQL through one code path."""

from __future__ import annotations

import math
import re
import shlex
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection as Connection
from sqlalchemy import Engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fitfleet.db.actor import OPTION, Actor, current, local_actor
from fitfleet.db.dialect import now as now
from fitfleet.db.dialect import read_clock as read_clock
from fitfleet.db.driver import load_driver
from fitfleet.db.migrations.revisions import newest_version
from fitfleet.errors import DatabaseError, MissingExtraError, SettingsError
from fitfleet.settings import Settings

# Alembic's own table.
_REVISIONS = sa.table("alembic_version", sa.column("version_num", sa.String()))
_BUSY_TIMEOUT_S = 30.0
# A PostgreSQL that is gone silently (its machine has died, the network is cut) is given up
# after some 20 s, not after the hours that TCP would wait.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 20_000,  # milliseconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


def _parsed(url: str) -> sa.URL:
    """With the driver that is used here. Raises SettingsError."""
    try:
        parsed = sa.engine.make_url(url)
    except ArgumentError:
        raise SettingsError(
            "database_url: not a SQLAlchemy URL, such as sqlite:///fleet.db or"
            " postgresql://user:password@host/fitfleet"
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


class Database:
    """A SQL database with fitfleet's tables. Safe to share between threads, not over a fork."""

    def __init__(self, url: str, actor: Actor | None = None) -> None:
        self.actor = actor or local_actor()  # whose the transactions are
        self.url = _parsed(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if not self.is_sqlite and self.url.get_backend_name() != "postgresql":
            raise SettingsError(
                f"database_url: {self.url.get_backend_name()} is not supported; use sqlite or"
                " postgresql"
            )
        self.engine = self._engine()

    def _engine(self) -> Engine:
        try:
            if not self.is_sqlite:
                load_driver()
                patience = {k: v for k, v in _PATIENCE.items() if k not in self.url.query}
                return sa.create_engine(self.url, pool_pre_ping=True, connect_args=patience)
            self._make_folder()
            engine = sa.create_engine(
                self.url, connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False}
            )
        except NoSuchModuleError:
            raise SettingsError(f"database_url: unknown driver {self.url.drivername}") from None
        except ModuleNotFoundError:
            raise MissingExtraError("psycopg", "postgres") from None
        event.listen(engine, "connect", _prepare_sqlite)
        return engine

    def _make_folder(self) -> None:
        if self.file is not None:
            folder = self.file.parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseError(
                    f"{folder}: the database's folder cannot be made ({error.strerror});"
                    " choose another database_url"
                ) from None

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database; None for another, or one in memory."""
        name = self.url.database
        return Path(name) if self.is_sqlite and name and name != ":memory:" else None

    @property
    def place(self) -> str:
        """The URL without its password, for messages."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes: commits at the end, rolls back on an error.

        Raises DatabaseError when the database is away or refuses.
        """
        with self._translated(), self.engine.connect() as c:
            if self.is_sqlite:
                # A deferred transaction that turns into a writer can fail at once with "locked";
                # an immediate one waits its turn.
                c.exec_driver_sql("BEGIN IMMEDIATE")
            yield c.execution_options(**{OPTION: current(self.actor)})
            c.commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._translated(), self.engine.connect() as c:
            if self.is_sqlite:
                c.exec_driver_sql("BEGIN")
            yield c.execution_options(**{OPTION: current(self.actor)})

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeoutError) as error:
            cause = getattr(error, "orig", None) or error
            reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
            raise DatabaseError(
                f"cannot use database {self.place}: {reason}; see `fitfleet doctor`"
            ) from error

    def upgrade(self) -> None:
        """Create the tables and views, or bring those of an older version up to date.

        Several processes may do so at once: one does it, the others wait. A fleet may work
        meanwhile: on PostgreSQL no table is locked for longer than a second. DatabaseError for
        tables of a newer version of fitfleet, or in use by one transaction for a minute.
        """
        for attempt in range(50):
            try:
                version = self.schema_version()
                if version is not None and version > newest_version():
                    raise DatabaseError(self._mismatch(version))
                if version != newest_version() or not self._has_all_indexes():
                    self._upgrade()
                return
            except DatabaseError as error:
                if attempt == 49 or not re.search("locked|lock timeout", str(error)):
                    raise
                time.sleep(0.1 if self.is_sqlite else 0.5)

    def _upgrade(self) -> None:
        from fitfleet.db.migrations import migrate  # it imports Alembic

        with self._translated():
            migrate.migrate(self.engine)

    def _has_all_indexes(self) -> bool:
        """SQLite makes them in the transaction of a migration; PostgreSQL after it."""
        from fitfleet.db.migrations import indexes

        if self.is_sqlite:
            return True
        with self.read() as c:
            return indexes.is_complete(c)

    def check_schema(self) -> None:
        """Raises DatabaseError unless the tables are those of this version of fitfleet."""
        version, wanted = self.schema_version(), newest_version()
        if version != wanted:
            raise DatabaseError(self._mismatch(version))

    def _mismatch(self, version: str | None) -> str:
        """What is wrong with tables of another version, and the command that helps."""
        wanted = newest_version()
        if version is not None and version > wanted:
            return self._newer(version)
        state = f"is at schema {version}" if version else "has no tables of fitfleet"
        return (
            f"the database {self.place} {state}, this fitfleet needs {wanted};"
            f" run: {self._upgrade_command()}"
        )

    def _upgrade_command(self) -> str:
        if self.is_sqlite:
            return f"fitfleet db upgrade {self.option}"
        if self.url == _parsed(Settings.load().database_url):  # by the environment or fitfleet.toml
            return "fitfleet db upgrade"
        hidden = ", with the password in place of ***" if self.url.password else ""
        return f"fitfleet db upgrade {self.option}{hidden}"

    def _newer(self, revision: str) -> str:
        from fitfleet.db.migrations import upgrades
        from fitfleet.spec.versions import installed

        with self.read() as c:
            maker = upgrades.made_by(c, revision)
        who, remedy = "a newer fitfleet", "upgrade it (pip install -U fitfleet)"
        if maker is not None:
            who, remedy = f"fitfleet {maker}", f"install that one (pip install fitfleet=={maker})"
        return (
            f"the database {self.place} was upgraded to schema {revision} by {who}, and this is"
            f" {installed()}: {remedy}"
        )

    @property
    def option(self) -> str:
        """How a command names this database."""
        if self.file is not None and self.file.name == "fleet.db":
            return f"--directory {shlex.quote(str(self.file.parent))}"
        return f"--database-url {shlex.quote(self.place)}"

    def back_up(self) -> Path | None:
        """A copy of an SQLite file beside it, whole though others write; None for a server.

        DatabaseError if it cannot be written.
        """
        if self.file is None or not self.file.exists():
            return None
        target = self.file.with_name(f"{self.file.name}.{self.schema_version()}.backup")
        with self._translated():
            try:
                source, copy = sqlite3.connect(self.file), sqlite3.connect(target)
                with closing(source), closing(copy):
                    source.backup(copy)
            except (sqlite3.Error, OSError) as error:
                raise DatabaseError(f"{target}: cannot be written: {error}") from error
        return target

    def schema_version(self) -> str | None:
        """The Alembic revision of the database; None before the first upgrade."""
        with self.read() as c:
            if not sa.inspect(c).has_table(_REVISIONS.name):
                return None
            version = c.execute(sa.select(_REVISIONS.c.version_num)).scalar()
            return None if version is None else str(version)

    def dispose(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours to send
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(_BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
    # TensorFlow brings an SQLite without it, which is Python's too where TensorFlow came first.
    connection.create_function("sqrt", 1, _sqrt, deterministic=True)


def _sqrt(value: float | None) -> float | None:
    """As SQLite's own: NULL for NULL and for negative numbers."""
    return math.sqrt(value) if value is not None and value >= 0 else None
