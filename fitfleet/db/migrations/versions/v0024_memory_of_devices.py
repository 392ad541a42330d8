"""What fits may use of a device, what each job needs there, and who waits for it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(postgresql.BIGINT(), "postgresql")


def upgrade() -> None:
    """Columns without a default, which rewrite no row, and a small table."""
    op.add_column("jobs", sa.Column("needs_bytes", NUMBER))
    op.add_column("worker_slots", sa.Column("device_bytes", NUMBER))
    op.create_table(
        "memory_waits",
        sa.Column("job_id", NUMBER, nullable=False),
        sa.Column("host", sa.String(128), nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_memory_waits"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_memory_waits_job_id_jobs", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_memory_waits_device", "memory_waits", ["host", "device"])
