"""A role of PostgreSQL for each host that joins, which goes with the token that it has joined by.

They are members of `fitfleet_host`, which deploy/postgres/roles.sql makes; where there is no such
role, or whoever asks may not grant it, hosts have the password of the service.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from fitfleet.db.schema.tables import tokens
from fitfleet.db.session import read_clock

GROUP = "fitfleet_host"
_NAME = re.compile(r"fitfleet_host_([0-9a-f]{8})_[0-9a-f]{8}")
_MAY = sa.text(
    "SELECT pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION') AND (SELECT rolcreaterole"
    " OR rolsuper FROM pg_roles WHERE rolname = current_user) FROM pg_roles WHERE rolname = :group"
)
_LISTED = sa.text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'fitfleet\\_host\\_%'")


def may_create(c: Connection) -> bool:
    """Whether this connection may give a host a role of its own."""
    return c.dialect.name == "postgresql" and bool(c.execute(_MAY, {"group": GROUP}).scalar())


def create(c: Connection, token_id: str) -> tuple[str, str]:
    """A new role for a host that joins by a token: its name and its password.

    It may sign in until the token expires.
    """
    name, password = f"{GROUP}_{token_id}_{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    expires_at = c.scalar(sa.select(tokens.c.expires_at).where(tokens.c.id == token_id))
    until = ""
    if expires_at is not None:
        until = f" VALID UNTIL '{datetime.fromtimestamp(expires_at, UTC).isoformat()}'"
    driver: Any = c.connection.driver_connection
    # The server, and its log of statements, get to see what proves the password, not itself.
    proof = driver.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    c.exec_driver_sql(
        f"CREATE ROLE {name} LOGIN PASSWORD '{proof.decode()}' IN ROLE {GROUP}{until}"
    )
    return name, password


def end(c: Connection, token_id: str) -> tuple[list[str], list[str]]:
    """Drop the roles of a token and end their connections; those that went, and that are left.

    Left are those that this connection may not drop.
    """
    dropped: list[str] = []
    left: list[str] = []
    for name in _roles(c).get(token_id, []):
        (dropped if _end(c, name) else left).append(name)
    return dropped, left


def end_all(c: Connection) -> list[str]:
    """The same for all tokens that were revoked, have expired or were removed; what went."""
    by_token = _roles(c)
    if not by_token:
        return []
    ended = by_token.keys() - valid(c, by_token)
    return [name for number in sorted(ended) for name in end(c, number)[0]]


def valid(c: Connection, numbers: Collection[str]) -> set[str]:
    """Those of some tokens that have neither expired nor been revoked or removed."""
    query = sa.select(tokens.c.id).where(
        tokens.c.id.in_(numbers),
        tokens.c.revoked_at.is_(None),
        sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > read_clock(c)),
    )
    return set(c.scalars(query))


def _roles(c: Connection) -> dict[str, list[str]]:
    """Names of the roles by token."""
    if c.dialect.name != "postgresql":
        return {}
    by_token: dict[str, list[str]] = {}
    for name in sorted(c.scalars(_LISTED)):
        match = _NAME.fullmatch(name)
        if match is not None:
            by_token.setdefault(match[1], []).append(name)
    return by_token


def _end(c: Connection, name: str) -> bool:
    sessions = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'"
    try:
        with c.begin_nested():
            c.exec_driver_sql(f"ALTER ROLE {name} NOLOGIN")
            c.exec_driver_sql(f"GRANT {name} TO CURRENT_USER")  # else its sessions are not ours
            c.exec_driver_sql(sessions)
            c.exec_driver_sql(f"DROP ROLE {name}")
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return False
    return True
