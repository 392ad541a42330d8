"""What all tables share: how constraints are named, and the type of their numbers."""

from __future__ import annotations

from sqlalchemy import Integer, MetaData
from sqlalchemy.dialects import postgresql

# PostgreSQL's INTEGER ends at 2**31; SQLite needs exactly INTEGER for its rowid.
BigId = Integer().with_variant(postgresql.BIGINT(), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
