"""Where SQLite and PostgreSQL differ: a few statements, and what a text may hold."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Double, Table, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")

# SQLite takes 32,766 parameters in a statement, PostgreSQL 65,535.
_CHUNK = 5_000


def clock_sql(dialect: str) -> str:
    """SQL for the database's own clock: seconds since 1970."""
    if dialect == "sqlite":
        return "((julianday('now') - 2440587.5) * 86400.0)"
    return "extract(epoch from clock_timestamp())::double precision"


def iso_sql(column: str, dialect: str) -> str:
    """SQL for a column of seconds since 1970 as ISO-8601 text in UTC, with milliseconds."""
    if dialect == "sqlite":
        return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column}, 'unixepoch')"
    at = f"to_timestamp({column}) AT TIME ZONE 'UTC'"
    return f"""to_char({at}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


def now(c: Connection) -> ColumnElement[float]:
    """SQL for the database's own clock: seconds since 1970."""
    return clock(c.dialect.name)


def clock(dialect: str) -> ColumnElement[float]:
    """The same, for statements that are made before there is a connection."""
    return literal_column(clock_sql(dialect), Double())


def read_clock(c: Connection) -> float:
    """The database's time, in seconds since 1970."""
    return float(c.execute(select(now(c))).scalar_one())


def _insert(c: Connection, table: Table) -> Any:
    return postgresql.insert(table) if c.dialect.name == "postgresql" else sqlite.insert(table)


def insert_ignoring(c: Connection, table: Table) -> Any:
    """INSERT that leaves out rows which a UNIQUE constraint refuses."""
    return _insert(c, table).on_conflict_do_nothing()


def upsert(c: Connection, table: Table, changed: Sequence[str]) -> Any:
    """INSERT that overwrites the `changed` columns of a row with the same primary key."""
    return _upsert(c.dialect.name, table, tuple(changed))


@functools.cache
def _upsert(dialect: str, table: Table, changed: tuple[str, ...]) -> Any:
    """Cached: building the statement costs more than running it."""
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in changed},
    )


def storable_text(text: str) -> str:
    """The text without what PostgreSQL or UTF-8 cannot hold: NULs and lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def chunks(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """Parts of these that one statement takes as parameters."""
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
