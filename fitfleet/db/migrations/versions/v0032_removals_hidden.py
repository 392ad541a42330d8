"""Views alone: they leave out experiments that are being removed.

The views are made anew with every upgrade (see env.py), so there is nothing else to do.
"""

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: the tables stay."""
