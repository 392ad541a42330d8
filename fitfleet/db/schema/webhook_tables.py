"""Tables of what leaves the fleet: notifications, traces. Reached through db/schema/tables."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, String, Table, Text, text

from fitfleet.db.schema.metadata import BigId, metadata

# Where an admin wants to be told of what.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", String(128), nullable=False),  # signs what is sent
    Column("events", Text, nullable=False),  # their names, with commas between; empty: all
    Column("created_at", Double, nullable=False),
)

# The outbox: what is to be sent, written in the transaction of what it tells.
notifications = Table(
    "notifications",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("webhook_id", ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("event_id", String(32), nullable=False),  # the same however often it is sent
    Column("event", String(32), nullable=False),
    Column("payload", Text, nullable=False),  # JSON, as it is sent
    Column("created_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Double),  # of the next attempt; NULL: there is none
    Column("delivered_at", Double),
    Column("error", Text),  # of the last attempt
    Index("ix_notifications_next_at", "next_at"),
)

# Experiments of which a job has ended: the scheduler looks whether it was the last. Not the job's
# own transaction: of two that end the last two jobs neither sees the other.
ended_experiments = Table(
    "ended_experiments",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("experiment_id", Integer, nullable=False, index=True),
)

# Up to which ended job the traces have been sent (db/fleet/trace_cursor).
trace_cursor = Table(
    "trace_cursor",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("finished_at", Double, nullable=False),  # of the last job that was sent
    Column("job_id", BigId, nullable=False),
    Column("held_until", Double, nullable=False),  # by the scheduler that sends
    Column("failures", Integer, nullable=False),  # attempts to send since the last that succeeded
    # Jobs whose traces the receiver refuses for good, since the first start with traces
    Column("refused", Integer, nullable=False, default=0, server_default=text("0")),
)
