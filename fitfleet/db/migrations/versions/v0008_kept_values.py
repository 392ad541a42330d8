"""Views alone: they show the values of the weights that are kept, and one value a seed and fold.

The views are made anew with every upgrade (see env.py), so there is nothing else to do.
"""

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: the tables stay."""
