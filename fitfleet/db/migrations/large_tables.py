"""Steps of migrations on tables that may have millions of rows and are written to meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from fitfleet.db.migrations.indexes import REPLACED


def add_index(name: str, table: str, columns: Sequence[Any], where: str | None = None) -> None:
    """Make an index on SQLite. On PostgreSQL `indexes.build` does so after the commit."""
    if op.get_bind().dialect.name == "sqlite":
        condition = None if where is None else sa.text(where)
        op.create_index(name, table, list(columns), sqlite_where=condition)


def replace_index(name: str, table: str, columns: Sequence[Any]) -> None:
    """The same for an index of other columns than before: on PostgreSQL the old one serves on."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index(name, table_name=table)
        add_index(name, table, columns)
    else:
        op.execute(f"ALTER INDEX {name} RENAME TO {name}{REPLACED}")
