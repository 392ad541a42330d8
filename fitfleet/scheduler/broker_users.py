"""A user of the broker for each host that joins, which goes with the token that it has joined by.

As roles of PostgreSQL (db/accounts/host_roles): where the service's own user may not make users, or
the broker has no file to keep them over a restart (`aclfile`), hosts have the service's password.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fitfleet.errors import BrokerError
from fitfleet.queue import command

if TYPE_CHECKING:
    from fitfleet.queue import Celery

_PREFIX = "fitfleet_host_"
_NAME = re.compile(rf"{_PREFIX}([0-9a-f]{{8}})_[0-9a-f]{{8}}")
_SEPARATOR = "\x06\x16"  # kombu's, before the priority in the key of a queue
# What Celery's worker and kombu ask: as MONITOR shows it, and in kombu's source what is rare.
HOST_COMMANDS = (
    *("ping", "select", "client|id", "client|setinfo", "client|setname", "time"),
    *("brpop", "rpop", "llen", "lpush", "rpush", "del", "exists", "get", "set"),
    *("hset", "hget", "hdel", "sadd", "srem", "smembers"),
    *("zadd", "zrem", "zrange", "zrangebyscore", "zrevrangebyscore"),
    *("multi", "exec", "discard", "watch", "unwatch"),
    *("evalsha", "script|load", "script|exists"),
    *("subscribe", "unsubscribe", "psubscribe", "punsubscribe"),
)


def may_create(app: Celery) -> bool:
    """Whether hosts get users of their own here. BrokerError when the broker is away."""
    try:
        me = _text(command(app, "ACL", "WHOAMI"))
        may = command(app, "ACL", "DRYRUN", me, "ACL", "SETUSER", "x")
        command(app, "ACL", "SAVE")
    except BrokerError as error:
        if _is_refusal(error):
            return False
        raise
    return _text(may) == "OK"


def create(app: Celery, token_id: str, queue: str) -> tuple[str, str] | None:
    """A new user for a host that serves a queue: name and password. None where there can be none.

    An older host does not say its queue: it may use the keys of all. BrokerError when the broker is
    away.
    """
    if urlsplit(app.conf.broker_url).hostname is None or not may_create(app):
        return None
    name, password = f"{_PREFIX}{token_id}_{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    # The broker, and who monitors it, get to see the hash.
    proof = f"#{hashlib.sha256(password.encode()).hexdigest()}"
    rights = [*_keys(queue), *(f"+{name}" for name in HOST_COMMANDS)]
    channel = f"&/{_number(app)}.celery.pidbox"
    try:
        command(app, "ACL", "SETUSER", name, "reset", "on", proof, channel, *rights)
        command(app, "ACL", "SAVE")
    except BrokerError as error:
        if not _is_refusal(error):
            raise
        return None
    return name, password


def end(app: Celery, token_id: str) -> tuple[list[str], list[str]]:
    """Delete the users of a token, which ends their connections; those that went, and are left."""
    return _end(app, lambda number: number == token_id)


def end_all(app: Celery, valid: Callable[[Collection[str]], Collection[str]]) -> list[str]:
    """The same for all tokens but those that are valid of some; what went."""
    by_token = _users(app)
    if not by_token:
        return []
    kept = valid(by_token)
    return _end(app, lambda number: number not in kept)[0]


def _end(app: Celery, is_ended: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    names = [
        name
        for number, names_of_token in _users(app).items()
        if is_ended(number)
        for name in names_of_token
    ]
    if not names:
        return [], []
    try:
        command(app, "ACL", "DELUSER", *names)
        command(app, "ACL", "SAVE")
    except BrokerError as error:
        if not _is_refusal(error):
            raise
        return [], names
    return names, []


def _users(app: Celery) -> dict[str, list[str]]:
    """Names of the users by token; empty for who may not look."""
    try:
        names = [_text(name) for name in command(app, "ACL", "USERS")]
    except BrokerError as error:
        if _is_refusal(error):
            return {}
        raise
    by_token: dict[str, list[str]] = {}
    for name in sorted(names):
        match = _NAME.fullmatch(name)
        if match is not None:
            by_token.setdefault(match[1], []).append(name)
    return by_token


def _keys(queue: str) -> list[str]:
    """Those of a queue, of its labels and services, and kombu's own."""
    escaped = re.sub(r"([*?\[\]\\])", r"\\\1", queue)
    of_queue = [escaped, f"{escaped}{_SEPARATOR}*", f"{escaped}/labels/*", f"{escaped}/service/*"]
    shared = ["unacked", "unacked_index", "unacked_mutex", "_kombu.binding*", "*.celery.pidbox*"]
    keys = [*of_queue, *shared] if queue else ["*"]
    return [*(f"~{key}" for key in keys), "%R~fitfleet.scheduler"]


def _number(app: Celery) -> str:
    """Of the database in the server, which is a part of the names of its channels."""
    return urlsplit(app.conf.broker_url).path.strip("/") or "0"


def _is_refusal(error: BrokerError) -> bool:
    """The broker has answered: not for this user, not with this configuration, not known here."""
    text = str(error).lower()
    phrases = ("no permissions", "noperm", "acl file", "unknown", "syntax", "modifier")
    return any(words in text for words in phrases)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
