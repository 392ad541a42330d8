"""Columns of trials and of their jobs get the names that Optuna and statistics use."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_RENAMED = (
    ("trials", "given_up", "pruned"),
    ("trials", "asked_at", "suggested_at"),
    ("trial_jobs", "member", "replicate"),
)


def upgrade() -> None:
    """Rename them; both databases do so without copying a row."""
    for table, old, new in _RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
