"""Tables of who may do what. They are reached through db/schema/tables, as all others."""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, String, Table, Text, text

from fitfleet.db.schema.metadata import BigId, metadata

# Secrets that the services of a fleet share; the first migration that has the table fills it.
fleet_keys = Table(
    "fleet_keys",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String(128), nullable=False),
)

# Who has a quota, a share or a group. A user without a row has none of these.
users = Table(
    "fleet_users",  # the view over it is `users`
    metadata,
    Column("name", String(64), primary_key=True),
    Column("max_running", Integer),  # jobs in flight; NULL: no limit
    Column("gpu_hours", Double),  # in the last 30 days; NULL: no limit
    # Used of them, as the scheduler measured it last (db/accounts/users)
    Column("gpu_seconds", Double, nullable=False, default=0.0, server_default=text("0")),
    Column("group_name", String(64)),  # groups.name; NULL: that of all who have none
    Column("shares", Double),  # of what the group has (db/scheduling/fair_share); NULL: 1
)

# Groups of users. Once there is one, or a user has shares, places go by shares.
groups = Table(
    "fleet_groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("shares", Double, nullable=False, default=1.0, server_default=text("1")),
    Column("max_running", Integer),  # jobs in flight of all its users; NULL: no limit
    Column("gpu_hours", Double),  # of all its users in the last 30 days; NULL: no limit
)

# How much of a queue each group and user has been served, kept while they have or want slots of it.
served_shares = Table(
    "served_shares",
    metadata,
    Column("queue", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),  # group, user; queue: of all
    Column("name", String(64), primary_key=True),
    Column("slots", Integer, nullable=False),  # what it has used since `at`
    Column("served", Double, nullable=False),  # slot-seconds by `at`, divided by its shares
    Column("at", Double, nullable=False),
)

tokens = Table(
    "access_tokens",  # the view over it, without the hashes, is `tokens`
    metadata,
    Column("id", String(16), primary_key=True),
    Column("sha256", String(64), nullable=False),  # of the secret part
    Column("user_name", String(64), nullable=False),
    Column("scope", String(8), nullable=False),  # db/accounts/access.Scope
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("max_jobs", Integer),  # unfinished at once (db/accounts/token_quotas); NULL: no limit
)

# What people changed. Rows are only added.
audit = Table(
    "audit_log",  # the view over it is `audit`
    metadata,
    Column("id", BigId, primary_key=True),
    Column("at", Double, nullable=False),
    Column("user_name", String(64), nullable=False),
    Column("token_id", String(16)),  # NULL: by the password of the database
    Column("action", String(32), nullable=False),
    Column("target", String(160), nullable=False),
    Column("detail", Text),
)
