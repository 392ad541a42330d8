"""When an experiment was last served, for fair shares between many that are equal."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column; nobody counts as served yet."""
    op.add_column(
        "experiments",
        sa.Column("served_at", sa.Double(), nullable=False, server_default=sa.text("0")),
    )
