"""Points that another program has measured, which only the documents of their sweeps held."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table, filled from the sweeps there are."""
    imported = op.create_table(
        "imported_trials",
        sa.Column(
            "sweep_id", sa.Integer().with_variant(sa.BigInteger(), "postgresql"), nullable=False
        ),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("trial", sa.Text(), nullable=False),
        sa.Column("point", sa.Text(), nullable=False),
        sa.Column("objectives", sa.Text(), nullable=False),
        sa.Column("left_out", sa.Text()),
        sa.Column("unused", sa.Text()),
        sa.ForeignKeyConstraint(
            ["sweep_id"],
            ["sweeps.id"],
            name="fk_imported_trials_sweep_id_sweeps",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sweep_id", "number", name="pk_imported_trials"),
    )
    sweeps = sa.table("sweeps", sa.column("id"), sa.column("document"))
    given = sweeps.c.document.like('%"imported": [%')
    connection = op.get_bind()
    for number, text in connection.execute(sa.select(sweeps).where(given)).all():
        rows = list(_rows(number, json.loads(text)))
        if rows:
            connection.execute(sa.insert(imported), rows)


def _rows(sweep_id: int, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = [objective["name"] for objective in document["wanted"]]
    for number, point in enumerate(document.get("imported", ())):
        yield {
            "sweep_id": sweep_id,
            "number": number,
            "source": point["source"],
            "trial": point["trial"],
            "point": json.dumps(point["point"], sort_keys=True),
            "objectives": json.dumps(dict(zip(names, point["values"], strict=True))),
            "left_out": "; ".join(point["left_out"]) or None,
            "unused": point["unused"],
        }
