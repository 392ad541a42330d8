"""Stable names of worker slots, and how long a job has trained without tracing."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns, empty in old rows."""
    op.add_column("jobs", sa.Column("train_seconds", sa.Double()))
    op.add_column("worker_slots", sa.Column("name", sa.String(128)))
