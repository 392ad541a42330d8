"""How many jobs a token may have unfinished, and which token made an experiment."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns without a default in two small tables."""
    op.add_column("access_tokens", sa.Column("max_jobs", sa.Integer()))
    op.add_column("experiments", sa.Column("token_id", sa.String(16)))
