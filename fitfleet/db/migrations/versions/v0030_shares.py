"""Groups of users, shares of both, and how much each has been served."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns without a default in a small table, and two small tables."""
    op.add_column("fleet_users", sa.Column("group_name", sa.String(64)))
    op.add_column("fleet_users", sa.Column("shares", sa.Double()))
    op.create_table(
        "fleet_groups",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("shares", sa.Double(), nullable=False, server_default=sa.text("1")),
        sa.Column("max_running", sa.Integer()),
        sa.Column("gpu_hours", sa.Double()),
        sa.PrimaryKeyConstraint("name", name="pk_fleet_groups"),
    )
    op.create_table(
        "served_shares",
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("served", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "kind", "name", name="pk_served_shares"),
    )
