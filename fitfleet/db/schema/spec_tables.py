"""The tables of what jobs compute: specifications and options, wide and rarely read."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text

from fitfleet.db.schema.metadata import BigId, metadata

# Kept out of the rows that the dispatcher scans. Either whole, or as shared_documents has it.
job_specs = Table(
    "job_specs",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    # Canonical JSON of spec.JobSpec; empty: it is that of spec_id with jobs.seed and jobs.fold
    Column("spec", Text, nullable=False, default=""),
    # Canonical JSON of spec.JobOptions; empty: it is that of options_id with jobs.params
    Column("options", Text, nullable=False, default=""),
    Column("spec_id", BigId),  # shared_documents.id
    Column("options_id", BigId),  # shared_documents.id
)

# What the specifications or the options of many jobs have in common, kept once by its hash.
shared_documents = Table(
    "shared_documents",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("document", Text, nullable=False),
)
