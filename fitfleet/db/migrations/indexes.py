"""Indexes on PostgreSQL, built after a migration without keeping anybody from writing.

CREATE INDEX inside a migration's transaction would stop every write to its table for seconds at a
million rows. So a migration leaves indexes to `build`, which makes those of db/schema/tables that
are not there (https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY).
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, Index
from sqlalchemy.schema import CreateIndex

from fitfleet.db.schema.tables import metadata

# The end of the name of an index that serves until its successor is built.
REPLACED = "_replaced"

_VALID = """
SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE x.indisvalid AND pg_table_is_visible(i.oid)"""


def is_complete(c: Connection) -> bool:
    """Whether PostgreSQL has all indexes of the code and none that is replaced."""
    missing, replaced = _changes(c)
    return not missing and not replaced


def build(engine: Engine) -> None:
    """Make the missing indexes one by one, then drop those that they replace.

    A build that is cut short leaves an invalid index, which the next one makes anew.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        missing, replaced = _changes(c)
        for index in missing:
            c.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")
            statement = str(CreateIndex(index).compile(dialect=c.dialect))
            c.exec_driver_sql(statement.replace("INDEX", "INDEX CONCURRENTLY", 1))
        for name in replaced:
            c.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def _changes(c: Connection) -> tuple[list[Index], list[str]]:
    """(indexes that are not there, names of those that are replaced)."""
    there = set(c.exec_driver_sql(_VALID).scalars())
    wanted = {str(i.name): i for table in metadata.sorted_tables for i in table.indexes}
    missing = [wanted[name] for name in sorted(wanted.keys() - there)]
    return missing, sorted(name for name in there if name.endswith(REPLACED))
