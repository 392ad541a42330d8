"""The epoch whose weights are kept, and the first whose loss was no number."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns; of jobs that have ended before, nobody knows."""
    op.add_column("jobs", sa.Column("kept_epoch", sa.Integer()))
    op.add_column("jobs", sa.Column("nan_epoch", sa.Integer()))
