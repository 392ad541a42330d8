"""The slots that are kept for jobs on several GPUs, and how many GPUs an attempt had."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(postgresql.BIGINT(), "postgresql")


def upgrade() -> None:
    """A column without a default, which rewrites no row, and a small table."""
    op.add_column("attempts", sa.Column("gpus", sa.Integer()))
    op.create_table(
        "gang_slots",
        sa.Column("job_id", NUMBER, nullable=False),
        sa.Column("slot", sa.String(128), nullable=False),
        sa.Column("dispatch_seq", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        sa.Column("is_ready", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "slot", name="pk_gang_slots"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_gang_slots_job_id_jobs", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_gang_slots_slot", "gang_slots", ["slot"])
