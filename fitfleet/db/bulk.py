"""Many rows at once: COPY on PostgreSQL, one prepared statement on SQLite."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.schema import ScalarElementColumnDefault

_CHUNK = 1_000
_Row = tuple[Any, ...]


def new_ids(c: Connection, table: Table, count: int) -> list[int]:
    """So many numbers for new rows, ascending. On SQLite this transaction must be the writer."""
    if c.dialect.name == "sqlite":
        last = c.execute(select(func.max(table.c.id))).scalar() or 0
        return list(range(last + 1, last + 1 + count))
    query = text(
        "SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)"
    )
    return list(c.scalars(query, {"name": table.name, "count": count}))


def insert(c: Connection, table: Table, columns: Sequence[str], rows: Iterable[_Row]) -> None:
    """Insert rows of these columns; the others take their defaults. Few are in memory at once.

    IntegrityError, or another DBAPIError, for a row that the table refuses.
    """
    defaults = {
        column.name: column.default.arg
        for column in table.columns
        if column.name not in columns and isinstance(column.default, ScalarElementColumnDefault)
    }
    names = [*columns, *defaults]
    ending = tuple(defaults.values())
    values = (row + ending for row in rows)
    if c.dialect.driver == "psycopg":
        _copy(c, table.name, names, values)
        return
    marks = ", ".join("?" * len(names))
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"
    while chunk := list(itertools.islice(values, _CHUNK)):
        if c.dialect.name == "sqlite":
            c.exec_driver_sql(statement, chunk)
        else:  # another driver of PostgreSQL
            c.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in chunk])


def _copy(c: Connection, table: str, names: Sequence[str], rows: Iterator[_Row]) -> None:
    connection: Any = c.connection.driver_connection
    dbapi: Any = c.dialect.loaded_dbapi
    statement = f"COPY {table} ({', '.join(names)}) FROM STDIN"
    try:
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dbapi.Error as error:
        raise DBAPIError.instance(statement, None, error, dbapi.Error) from error
