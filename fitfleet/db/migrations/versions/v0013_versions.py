"""Which version of fitfleet a job needs, a worker is of, and an upgrade was made by."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns with a default, which rewrite no row, and a small table."""
    op.add_column(
        "jobs", sa.Column("min_version", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column(
        "worker_slots",
        sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1000")),
    )
    op.create_table(
        "upgrades",
        sa.Column("revision", sa.String(32), nullable=False),
        sa.Column("fitfleet", sa.String(64), nullable=False),
        sa.Column("upgraded_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_upgrades"),
    )
