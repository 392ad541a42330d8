"""What fits were measured to need of memory."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(postgresql.BIGINT(), "postgresql")


def upgrade() -> None:
    """A new table."""
    op.create_table(
        "memory_peaks",
        sa.Column("architecture", sa.String(64), nullable=False),
        sa.Column("batch_size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("dtype", sa.String(64), nullable=False),
        sa.Column("optimizer", sa.String(64), nullable=False),
        sa.Column("engine", sa.String(16), nullable=False),
        sa.Column("cohort", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        sa.Column("peak_bytes", NUMBER, nullable=False),
        sa.Column("framework_bytes", NUMBER),
        sa.Column("driver_bytes", NUMBER),
        sa.Column("bound_bytes", NUMBER, nullable=False, server_default=sa.text("0")),
        sa.Column("measured_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint(
            *("architecture", "batch_size", "dtype", "optimizer", "engine", "cohort", "device"),
            name="pk_memory_peaks",
        ),
    )
