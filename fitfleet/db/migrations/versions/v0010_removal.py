"""An index without which deleting a job would search all others for results taken over from it."""

from fitfleet.db.migrations.large_tables import add_index

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index, of few rows."""
    add_index("ix_jobs_adopted_from", "jobs", ["adopted_from"], "adopted_from IS NOT NULL")
