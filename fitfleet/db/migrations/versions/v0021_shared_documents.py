"""What the specifications and options of many jobs have in common is kept once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(postgresql.BIGINT(), "postgresql")


def upgrade() -> None:
    """A table, and two columns that are empty in old rows, which hold their documents whole."""
    op.create_table(
        "shared_documents",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shared_documents"),
        sa.UniqueConstraint("sha256", name="uq_shared_documents_sha256"),
    )
    op.add_column("job_specs", sa.Column("spec_id", NUMBER))
    op.add_column("job_specs", sa.Column("options_id", NUMBER))
