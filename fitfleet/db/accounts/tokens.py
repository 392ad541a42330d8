"""Tokens: who has one is a user of a scope, without the password of the database.

A token is `ff_<id>_<secret>`; the database has the SHA-256 of the secret, which is random and long
enough that no slower hash is needed. https://cheatsheetseries.owasp.org/ says the same of keys.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Any

from sqlalchemy import Connection, select, update

from fitfleet.db.accounts import access
from fitfleet.db.actor import Actor, Scope
from fitfleet.db.schema.tables import tokens
from fitfleet.db.session import Database, now, read_clock
from fitfleet.errors import AccessError, NotFoundError

_TOKEN = re.compile(r"ff_([0-9a-f]{8})_([\w-]{43})", re.ASCII)
USER_NAME = re.compile(r"[\w.@+-]{1,64}")


def check_user(name: str) -> str:
    """The name; AccessError if it is none for a user."""
    if not USER_NAME.fullmatch(name):
        raise AccessError(
            f"user: {name!r:.80} is not a name of 1 to 64 letters, digits, dots, @, + and dashes"
        )
    return name


def create(
    c: Connection,
    user: str,
    scope: Scope,
    expires_s: float | None = None,
    max_jobs: int | None = None,
) -> str:
    """A new token, which is shown here alone; `max_jobs` as in db/accounts/token_quotas."""
    check_user(user)
    if max_jobs is not None and not 0 <= max_jobs < 2**31:
        raise AccessError(f"max_jobs: {max_jobs} is not a number of jobs; give 0 or more, or none")
    number, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    detail = f"{user}, {scope}"
    access.change(c, "create token", number, detail, needs=Scope.ADMIN)
    at = read_clock(c)
    values = {
        "id": number,
        "sha256": _hash(secret),
        "user_name": user,
        "scope": scope.value,
        "created_at": at,
        "expires_at": None if expires_s is None else at + expires_s,
        "max_jobs": max_jobs,
    }
    c.execute(tokens.insert().values(values))
    return f"ff_{number}_{secret}"


def revoke(c: Connection, number: str) -> tuple[str, Scope]:
    """Revoke a token at once; its user and scope. NotFoundError.

    A role that a host has joined by it is dropped by db/host_roles.
    """
    statement = (
        update(tokens)
        .where(tokens.c.id == number, tokens.c.revoked_at.is_(None))
        .values(revoked_at=now(c))
        .returning(tokens.c.user_name, tokens.c.scope)
    )
    row = c.execute(statement).first()
    if row is None:
        raise NotFoundError(
            f"there is no token {number} that is valid; `fitfleet token list` shows them"
        )
    access.change(c, "revoke token", number, row.user_name, needs=Scope.ADMIN)
    return row.user_name, Scope(row.scope)


def find(c: Connection, token: str) -> Actor:
    """The actor of a token. AccessError, in one sentence, if it is wrong, expired or revoked."""
    match = _TOKEN.fullmatch(token.strip())
    row = None
    if match is not None:
        row = c.execute(select(tokens).where(tokens.c.id == match[1])).first()
    # The same work and the same answer for a number that there is not.
    expected = _hash("") if row is None else str(row.sha256)
    is_right = hmac.compare_digest(_hash("" if match is None else match[2]), expected)
    if match is None or row is None or not is_right:
        raise AccessError(
            "the token does not belong to this fleet; an admin creates one: fitfleet token create"
        )
    return _valid(c, row)


def of_number(c: Connection, number: str) -> Actor:
    """The same for one that was shown before. AccessError if it has ended meanwhile."""
    row = c.execute(select(tokens).where(tokens.c.id == number)).first()
    if row is None:
        raise AccessError(f"there is no token {number} any more; ask for a new one")
    return _valid(c, row)


def _valid(c: Connection, row: Any) -> Actor:
    if row.revoked_at is not None:
        raise AccessError(f"the token {row.id} of {row.user_name} was revoked; ask for a new one")
    if row.expires_at is not None and row.expires_at <= read_clock(c):
        raise AccessError(f"the token {row.id} of {row.user_name} has expired; ask for a new one")
    return Actor(row.user_name, Scope(row.scope), row.id)


def admit(c: Connection, token: str, needed: Scope) -> Actor:
    """The actor of a token, which needs the scope. AccessError if it has a lesser one."""
    return check_scope(find(c, token), needed)


def check_scope(actor: Actor, needed: Scope) -> Actor:
    """The same for one that was found. AccessError if its scope does not allow it."""
    if not actor.scope.allows(needed):
        raise AccessError(
            f"the token {actor.token_id} of {actor.user} is of scope {actor.scope}; this needs one"
            f" of scope {needed}"
        )
    return actor


def enter(database: Database, token: str) -> None:
    """Run the transactions of a database as a token's user; without a token as before."""
    if token:
        with database.read() as c:
            database.actor = admit(c, token, Scope.READ)


def listed(c: Connection) -> list[dict[str, Any]]:
    """All tokens, newest first, without their secrets. `state`: valid, expired or revoked."""
    at = read_clock(c)
    query = select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id)
    return [
        {
            "token": row.id,
            "user": row.user_name,
            "scope": row.scope,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "max_jobs": row.max_jobs,
            "state": _state(row, at),
        }
        for row in c.execute(query)
    ]


def _state(row: Any, at: float) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "valid" if row.expires_at is None or row.expires_at > at else "expired"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
