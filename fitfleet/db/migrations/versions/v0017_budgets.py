"""Budgets: when a sweep ends, and that a job has ended before its last epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns, empty in old rows."""
    op.add_column("jobs", sa.Column("stopped_by", sa.String(16)))
    op.add_column("sweeps", sa.Column("ends_at", sa.Double()))
