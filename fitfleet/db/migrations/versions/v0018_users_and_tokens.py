"""Users with quotas, tokens, whose an experiment is, and who changed what."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three tables, and a column without a default in a small one."""
    op.add_column("experiments", sa.Column("user_name", sa.String(64)))
    op.create_table(
        "fleet_users",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("max_running", sa.Integer()),
        sa.Column("gpu_hours", sa.Double()),
        sa.Column("gpu_seconds", sa.Double(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("name", name="pk_fleet_users"),
    )
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("user_name", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(8), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_access_tokens"),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer().with_variant(sa.BigInteger(), "postgresql"), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("user_name", sa.String(64), nullable=False),
        sa.Column("token_id", sa.String(16)),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("target", sa.String(160), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
