"""The view of what waits on each queue; views are made anew after every upgrade."""

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No table changes."""
