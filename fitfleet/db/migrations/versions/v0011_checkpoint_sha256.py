"""The sha256 of a checkpoint stands in its job's row, as that of the fitted weights does."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column; a checkpoint that is there already is resumed from unverified."""
    op.add_column("jobs", sa.Column("checkpoint_sha256", sa.String(64)))
