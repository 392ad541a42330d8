"""The slots that are kept for jobs on several GPUs. Reached through db/tables, as all others."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table

from fitfleet.db.schema.metadata import metadata

# A row counts while its job is in flight under this number; what is left of others means nothing.
gang_slots = Table(
    "gang_slots",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("slot", String(128), primary_key=True, index=True),
    Column("dispatch_seq", Integer, nullable=False),
    Column("device", String(128), nullable=False),
    # Its child is a fresh one, which holds no memory of the device and takes no messages
    Column("is_ready", Boolean, nullable=False, default=False),
)
