"""Population-based training: which trial continues which, and what was changed."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Four columns, empty in old rows."""
    for name in ("generation", "member", "parent"):
        op.add_column("trials", sa.Column(name, sa.Integer()))
    op.add_column("trials", sa.Column("changes", sa.Text()))
