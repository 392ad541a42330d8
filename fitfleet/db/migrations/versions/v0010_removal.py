"""An index without which deleting a job would search all others for results taken over from it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index, of few rows."""
    where = sa.text("adopted_from IS NOT NULL")
    op.create_index(
        "ix_jobs_adopted_from",
        "jobs",
        ["adopted_from"],
        sqlite_where=where,
        postgresql_where=where,
    )
