"""Stores a database of the newest revision, with rows, for the tests of later upgrades.

    python tests/migration/store.py

Run it once, when a migration is added; a stored schema is never changed again.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

FOLDER = Path(__file__).resolve().parent
SCHEMAS = FOLDER / "schemas"
sys.path.insert(0, str(FOLDER.parent))

from fitfleet.db.migrations.revisions import newest_version  # noqa: E402
from fitfleet.db.session import Database  # noqa: E402


def fill(database: Database) -> None:
    """A finished job with its curve and score, and a waiting one."""
    from support.rows import commit, insert, new_job, register, take

    from fitfleet.db.attempts import metrics
    from fitfleet.db.attempts.metrics import EpochMetrics

    register(database, 1)
    insert(database, new_job("a", params={"units": 16}), new_job("b"))
    (claim,) = take(database)
    with database.begin() as c:
        for epoch, loss in enumerate((2.0, 1.0), 1):
            metrics.record(c, [EpochMetrics(claim, epoch, {"loss": loss})])
        commit(c, claim, epoch=2, seconds=1.5, scores={"keras": {"test_loss": 0.5}})


def dump(database: Database) -> list[str]:
    """Statements that make the tables, indexes, rows and views that are in the database."""
    metadata = sa.MetaData()
    metadata.reflect(database.engine)
    lines = []
    for table in metadata.sorted_tables:
        lines.append(str(CreateTable(table).compile(database.engine)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        lines += [str(CreateIndex(index).compile(database.engine)) for index in indexes]
    with database.read() as c:
        for table in metadata.sorted_tables:
            for row in c.execute(sa.select(table)):
                values = {k: v for k, v in row._mapping.items() if v is not None}
                statement = table.insert().values(values)
                compiled = statement.compile(
                    database.engine, compile_kwargs={"literal_binds": True}
                )
                lines.append(" ".join(str(compiled).split()))
        query = "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'"
        for name, definition in c.exec_driver_sql(f"{query} ORDER BY viewname"):
            lines.append(f"CREATE VIEW {name} AS {definition.strip().rstrip(';')}")
    return lines


def dump_sqlite(path: Path) -> list[str]:
    """The same by SQLite's own dump, which knows every index."""
    connection = sqlite3.connect(path)
    skipped = ("BEGIN", "COMMIT")
    lines = [line for line in connection.iterdump() if not line.startswith(skipped)]
    connection.close()
    return [line.rstrip(";") for line in lines]


def restore(database: Database, revision: str) -> None:
    """Make the database what it was at that revision."""
    backend = "sqlite" if database.is_sqlite else "postgresql"
    text = (SCHEMAS / f"{revision}.{backend}.sql").read_text(encoding="utf-8")
    if database.is_sqlite:
        connection = sqlite3.connect(str(database.url.database))
        connection.executescript(text)  # its foreign keys are off, as a dump needs it
        connection.close()
        return
    with database.begin() as c:
        for statement in text.split(";\n"):
            if statement.strip():
                c.exec_driver_sql(statement.strip().replace("%", "%%"))


def main() -> None:
    """Store the newest revision of both databases."""
    from support.servers import Postgres

    SCHEMAS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.db"
        database = Database(f"sqlite:///{path}")
        database.upgrade()
        fill(database)
        database.dispose()
        _write("sqlite", dump_sqlite(path))
    server = Postgres()
    try:
        server.start()
        database = Database(server.url())
        database.upgrade()
        fill(database)
        _write("postgresql", dump(database))
        database.dispose()
    finally:
        server.remove()


def _write(backend: str, lines: list[str]) -> None:
    target = SCHEMAS / f"{newest_version()}.{backend}.sql"
    target.write_text(";\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
