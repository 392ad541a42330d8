"""Experiments that are being removed, some jobs at a time; traces that are refused for good."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns of two small tables."""
    op.add_column("experiments", sa.Column("removing", sa.String(128)))
    op.add_column(
        "trace_cursor",
        sa.Column("refused", sa.Integer(), nullable=False, server_default=sa.text("0")),
    )
