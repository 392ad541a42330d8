"""What an attempt spent its time on, and up to where traces of jobs have been sent."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(postgresql.BIGINT(), "postgresql")


def upgrade() -> None:
    """A column without a default, which rewrites no row, and a table of one row."""
    op.add_column("attempts", sa.Column("phases", sa.Text()))
    op.create_table(
        "trace_cursor",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=False),
        sa.Column("job_id", NUMBER, nullable=False),
        sa.Column("held_until", sa.Double(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_trace_cursor"),
    )
