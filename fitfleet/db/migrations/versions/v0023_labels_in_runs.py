"""Tags and note of each job in the view runs; views are made anew after every upgrade."""

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No table changes."""
