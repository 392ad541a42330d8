"""A random key of the fleet, with which the scheduler signs the messages of the queue."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table with one row."""
    keys = op.create_table(
        "fleet_keys",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("value", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_fleet_keys"),
    )
    op.bulk_insert(keys, [{"name": "messages", "value": secrets.token_hex(32)}])
