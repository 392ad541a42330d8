"""Views alone: `runs` has `best_epoch`, and `workers` counts in words that DuckDB repeats rightly.

The views are made anew with every upgrade (see env.py), so there is nothing else to do.
"""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: the tables stay."""
