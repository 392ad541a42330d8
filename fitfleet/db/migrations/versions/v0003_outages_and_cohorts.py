"""Since when the storage has refused a job; and an index that gives a cohort in its order."""

import sqlalchemy as sa
from alembic import op

from fitfleet.db.migrations.large_tables import replace_index

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column, empty, and one index anew."""
    op.add_column("jobs", sa.Column("refused_since", sa.Double()))
    replace_index(
        "ix_jobs_fuse",
        "jobs",
        ["fuse_key", "status", "experiment_id", sa.text("priority DESC"), "id"],
    )
