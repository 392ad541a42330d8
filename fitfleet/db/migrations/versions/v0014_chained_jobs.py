"""A job may start from the weights of another that has not ended, and waits for it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from fitfleet.db.migrations.large_tables import add_index

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column, and an index of the few jobs that have a value in it."""
    number = sa.Integer().with_variant(postgresql.BIGINT(), "postgresql")
    op.add_column("jobs", sa.Column("starts_from", number))
    add_index("ix_jobs_starts_from", "jobs", ["starts_from"], "starts_from IS NOT NULL")
