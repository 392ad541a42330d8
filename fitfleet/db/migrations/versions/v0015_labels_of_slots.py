"""Slots have labels, and jobs are placed only where the labels fit."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fitfleet.db.migrations.large_tables import add_index, replace_index

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(postgresql.BIGINT(), "postgresql")


def upgrade() -> None:
    """Columns with a default, which rewrite no row, a small table, and the dispatcher's index."""
    op.create_table(
        "requirements",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_requirements"),
        sa.UniqueConstraint("document", name="uq_requirements_document"),
    )
    op.add_column(
        "worker_slots",
        sa.Column("labels", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
    )
    op.add_column(
        "worker_slots",
        sa.Column("route", sa.String(128), nullable=False, server_default=sa.text("''")),
    )
    op.add_column(
        "jobs", sa.Column("requirement_id", NUMBER, nullable=False, server_default=sa.text("0"))
    )
    op.add_column("jobs", sa.Column("sent_to", sa.String(128)))
    replace_index(
        "ix_jobs_waiting",
        "jobs",
        ["status", "queue", "experiment_id", "requirement_id", sa.text("priority DESC"), "id"],
    )
    add_index(
        "ix_jobs_requirement_id",
        "jobs",
        ["requirement_id", "status", "queue"],
        "requirement_id <> 0",
    )
