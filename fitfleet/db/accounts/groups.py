"""Groups of users: their shares of the slots, and the quotas that their users have in common.

A user is in one group. Those that are in none form the group `default`, which has a share and no
quota. What shares mean is in db/scheduling/fair_share.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection, delete, select

from fitfleet.db.accounts import access
from fitfleet.db.accounts.usage import DEFAULT, Limited, jobs_by_user, slots_by_user
from fitfleet.db.actor import Scope
from fitfleet.db.dialect import upsert
from fitfleet.db.schema.tables import groups, served_shares, users
from fitfleet.errors import AccessError, NotFoundError

_NAME = re.compile(r"[\w.@+-]{1,64}")
_MAX_SHARES = 1e6


@dataclass(frozen=True)
class Group(Limited):
    """What the users of a group may have together, and have."""

    name: str
    shares: float
    users: int  # that were put into it
    slots: int  # in use, of all queues
    max_running: int | None
    in_flight: int
    gpu_hours: float | None
    gpu_hours_used: float  # as of the last measurement


def check_shares(shares: float) -> float:
    """The number; AccessError if it is not one that a share can have."""
    if not 0 < shares <= _MAX_SHARES or not math.isfinite(shares):
        raise AccessError(
            f"shares: {shares:g} is not above 0 and at most {_MAX_SHARES:,.0f}; to keep a group or"
            " user from the fleet, give --max-running 0"
        )
    return shares


def set_group(c: Connection, name: str, **values: float | None) -> None:
    """Make a group, or change it: `shares`, and the quotas `max_running` and `gpu_hours`.

    Those that are given; None: 1 share, no limit. AccessError for a name or number that is none.
    """
    if not _NAME.fullmatch(name):
        raise AccessError(
            f"group: {name!r:.80} is not a name of 1 to 64 letters, digits, dots, @, + and dashes"
        )
    if name == DEFAULT and values.keys() - {"shares"}:
        raise AccessError(
            f"group: {DEFAULT!r} is of the users without a group, which have a share in common and"
            " no quota; give them quotas with: fitfleet user set NAME, or put them into a group"
        )
    for key, value in values.items():
        if key == "shares":
            values[key] = 1.0 if value is None else check_shares(value)
        elif value is not None and not 0 <= value < 2**31:
            raise AccessError(f"{key}: {value:g} is not 0 or more, nor none for no limit")
    detail = ", ".join(f"{key} {'none' if v is None else f'{v:g}'}" for key, v in values.items())
    access.change(c, "set group", name, detail or None, needs=Scope.ADMIN)
    statement = upsert(c, groups, list(values)) if values else upsert(c, groups, ["name"])
    c.execute(statement.values(name=name, **values))
    if "shares" in values:
        _forget(c, "group", name)


def remove(c: Connection, name: str) -> None:
    """Remove a group. NotFoundError if there is none; AccessError while it has users."""
    check(c, name)
    query = select(users.c.name).where(users.c.group_name == name).order_by(users.c.name)
    members = c.scalars(query.limit(4)).all()
    if members:
        more = ", ..." if len(members) > 3 else ""
        raise AccessError(
            f"group: {name!r} has users ({', '.join(members[:3])}{more}); put them"
            f" elsewhere first: fitfleet user set {members[0]} --group none"
        )
    access.change(c, "remove group", name, needs=Scope.ADMIN)
    c.execute(delete(groups).where(groups.c.name == name))
    _forget(c, "group", name)


def check(c: Connection, name: str) -> str:
    """The name of a group that is there; NotFoundError."""
    names = sorted(c.scalars(select(groups.c.name)))
    if name not in names:
        there = ", ".join(names) if names else "none yet"
        raise NotFoundError(
            f"there is no group {name!r:.80} (groups: {there}); make it with: fitfleet group set"
            f" {name}"
        )
    return name


def set_share(c: Connection, user: str, **values: str | float | None) -> None:
    """Set a user's `group` and `shares`, those that are given; None: no group, 1 share.

    NotFoundError for a group that is not there, AccessError for shares that are none.
    """
    row: dict[str, str | float | None] = {}
    if "group" in values:
        group = values["group"]
        is_none = group is None or group == DEFAULT
        row["group_name"] = None if is_none else check(c, str(group))
    if values.get("shares") is not None:
        row["shares"] = check_shares(float(values["shares"] or 0))
    elif "shares" in values:
        row["shares"] = None
    detail = ", ".join(f"{name} {'none' if v is None else v}" for name, v in values.items())
    access.change(c, "set share", user, detail, needs=Scope.ADMIN)
    c.execute(upsert(c, users, list(row)).values(name=user, **row))
    _forget(c, "user", user)


def _forget(c: Connection, kind: str, name: str) -> None:
    """What was served counts for other shares; from now it is what the others had the least of."""
    is_it = (served_shares.c.kind == kind) & (served_shares.c.name == name)
    c.execute(delete(served_shares).where(is_it))


def listed(c: Connection) -> list[Group]:
    """All groups by name, `default` last; none while there is no group at all."""
    rows = c.execute(select(groups).order_by(groups.c.name)).all()
    members = {
        row.name: (row.group_name or DEFAULT, float(row.gpu_seconds))
        for row in c.execute(select(users.c.name, users.c.group_name, users.c.gpu_seconds))
    }
    if not rows:
        return []
    slots, in_flight = _by_group(slots_by_user(c), members), _by_group(jobs_by_user(c), members)
    with_row = [
        Group(
            row.name,
            row.shares,
            sum(group == row.name for group, _ in members.values()),
            slots.get(row.name, 0),
            row.max_running,
            in_flight.get(row.name, 0),
            row.gpu_hours,
            sum(seconds for group, seconds in members.values() if group == row.name) / 3600,
        )
        for row in rows
    ]
    named = {group.name: group for group in with_row}
    default = named.pop(DEFAULT, None)
    rest = Group(DEFAULT, 1.0, 0, slots.get(DEFAULT, 0), None, in_flight.get(DEFAULT, 0), None, 0.0)
    return [*named.values(), default or rest]


def _by_group(by_user: dict[str, int], members: dict[str, tuple[str, float]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for user, count in by_user.items():
        group, _ = members.get(user, (DEFAULT, 0.0))
        counts[group] = counts.get(group, 0) + count
    return counts


def quota_of(c: Connection, name: str) -> Group | None:
    """How a group stands that has a quota; None: it has none."""
    has_quota = groups.c.max_running.is_not(None) | groups.c.gpu_hours.is_not(None)
    if c.execute(select(groups.c.name).where(groups.c.name == name, has_quota)).first() is None:
        return None
    return next((group for group in listed(c) if group.name == name), None)


def limited_users() -> sa.Select[tuple[str]]:
    """SQL: the users whose group has a limit of GPU-hours."""
    return (
        select(users.c.name)
        .join(groups, groups.c.name == users.c.group_name)
        .where(groups.c.gpu_hours.is_not(None))
    )
