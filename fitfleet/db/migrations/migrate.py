"""Bringing the tables to the newest revision, while a fleet works on them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, func, select

from fitfleet.db.dialect import read_clock
from fitfleet.db.migrations import indexes, upgrades
from fitfleet.db.migrations.revisions import MIGRATIONS, newest_version

_UPGRADE_LOCK = 4711  # a number of our own among PostgreSQL's advisory locks
_POLL_S = 0.1
# Who waits for a table's lock makes all others wait behind it, so it gives up and tries again.
_LOCK_TIMEOUT_MS = 500


def migrate(engine: Engine) -> None:
    """Run the migrations in one transaction, then build the indexes, one process at a time.

    On PostgreSQL DBAPIError if another transaction holds a table for longer than half a second.
    """
    if engine.dialect.name == "sqlite":
        with engine.connect() as c:
            c.exec_driver_sql("BEGIN IMMEDIATE")
            _migrate(c)
        return
    with _lock(engine):
        with engine.connect() as c:
            c.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            _migrate(c)
        indexes.build(engine)


def _migrate(c: Connection) -> None:
    command.upgrade(alembic_config(c), "head")
    upgrades.record(c, newest_version(), read_clock(c))
    c.commit()


def alembic_config(c: Connection | None = None) -> Config:
    """Alembic's configuration, for the connection of the migrations."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = c
    return config


@contextmanager
def _lock(engine: Engine) -> Iterator[None]:
    """Polled: one that waits in PostgreSQL has a snapshot, for whose end a new index waits."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        while not c.execute(select(func.pg_try_advisory_lock(_UPGRADE_LOCK))).scalar():
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            c.execute(select(func.pg_advisory_unlock(_UPGRADE_LOCK)))
