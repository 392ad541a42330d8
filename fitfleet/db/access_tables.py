"""Tables of who may do what. They are reached through db/tables, as all others."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from fitfleet.db.metadata import metadata

# Secrets that the services of a fleet share; the first migration that has the table fills it.
fleet_keys = Table(
    "fleet_keys",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String(128), nullable=False),
)
