"""Tags and notes of jobs, the load of workers, and an index to what ended lately."""

import sqlalchemy as sa
from alembic import op

from fitfleet.db.migrations.large_tables import add_index

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table, a column and an index."""
    op.create_table(
        "job_labels",
        sa.Column(
            "job_id",
            sa.Integer().with_variant(sa.BigInteger(), "postgresql"),
            sa.ForeignKey("jobs.id", ondelete="CASCADE", name="fk_job_labels_job_id_jobs"),
            nullable=False,
        ),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_labels"),
    )
    op.add_column("worker_slots", sa.Column("load", sa.Text()))
    add_index("ix_jobs_finished", "jobs", ["finished_at"])
