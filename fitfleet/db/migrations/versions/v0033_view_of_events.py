"""The view of events alone: it leaves out jobs of experiments that are being removed.

The views are made anew with every upgrade (see env.py), so there is nothing else to do.
"""

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: the tables stay."""
