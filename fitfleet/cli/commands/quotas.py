"""`user` and `group`: quotas and shares."""

from __future__ import annotations

from typing import Annotated

import typer

from fitfleet.cli.command import JsonOption, Target, command, tell
from fitfleet.cli.commands.access import group_name, quota_of, show_rows

MaxRunning = Annotated[
    str | None, typer.Option(help="Jobs in flight at once, or none for no limit.")
]
GpuHours = Annotated[str | None, typer.Option(help="GPU-hours in 30 days, or none for no limit.")]


@command
def set_user(
    target: Target,
    user: Annotated[str, typer.Argument(help="Name of the user.")],
    max_running: MaxRunning = None,
    gpu_hours: GpuHours = None,
    group: Annotated[str | None, typer.Option(help="Group of the user, or none.")] = None,
    shares: Annotated[
        str | None, typer.Option(help="Shares of what the group has, or none for 1.")
    ] = None,
) -> None:
    """Set the quota of a user, the group, and the shares of what the group has."""
    from fitfleet.db.accounts import groups, tokens, users
    from fitfleet.errors import AccessError

    limits = quota_of(max_running, "max_running", int) | quota_of(gpu_hours, "gpu_hours", float)
    place = quota_of(shares, "shares", float)
    if group is not None:
        place["group"] = group_name(group)
    if not limits and not place:
        raise AccessError("user set: give --max-running, --gpu-hours, --group, --shares or several")
    with target.fleet().database.begin() as c:
        tokens.check_user(user)
        if limits:
            users.set_quota(c, user, **limits)
        if place:
            groups.set_share(c, user, **place)
        (quota,) = users.quotas(c, user)
    where = f", {quota.shares:g} of the shares of group {quota.group or 'default'}" if place else ""
    tell(f"{user}: {_quota(quota.max_running, quota.gpu_hours)}{where}")


def _quota(max_running: int | None, gpu_hours: float | None) -> str:
    return f"{_number(max_running)} jobs at once, {_number(gpu_hours)} GPU-hours"


def _number(value: float | None) -> str:
    return "any number of" if value is None else f"{value:g}"


@command
def users_listed(target: Target, as_json: JsonOption = False) -> None:
    """List users with a quota, a group or shares, and their usage."""
    from fitfleet.db.accounts import usage, users

    with target.fleet().database.read() as c:
        slots = usage.slots_by_user(c)
        rows = [{**vars(quota), "slots": slots.get(quota.user, 0)} for quota in users.quotas(c)]
    show_rows(rows, as_json, "No user has a quota. Set one with: fitfleet user set NAME")


@command
def set_group(
    target: Target,
    group: Annotated[str, typer.Argument(help="Name of the group.")],
    shares: Annotated[
        str | None,
        typer.Option(help="Shares of the slots, in proportion to those of other groups."),
    ] = None,
    max_running: MaxRunning = None,
    gpu_hours: GpuHours = None,
) -> None:
    """Make a group of users, or change its shares and the quotas of all its users together."""
    from fitfleet.db.accounts import groups

    values = quota_of(shares, "shares", float) | quota_of(max_running, "max_running", int)
    values |= quota_of(gpu_hours, "gpu_hours", float)
    with target.fleet().database.begin() as c:
        groups.set_group(c, group, **values)
        (row,) = (item for item in groups.listed(c) if item.name == group)
    tell(f"group {group}: {row.shares:g} shares, {_quota(row.max_running, row.gpu_hours)}")


@command
def groups_listed(target: Target, as_json: JsonOption = False) -> None:
    """List groups, and their usage."""
    from fitfleet.db.accounts import groups

    with target.fleet().database.read() as c:
        rows = [vars(group) for group in groups.listed(c)]
    show_rows(rows, as_json, "No group yet. Make one with: fitfleet group set NAME --shares 1")


@command
def remove_group(
    target: Target, group: Annotated[str, typer.Argument(help="Name of the group.")]
) -> None:
    """Remove a group that has no users."""
    from fitfleet.db.accounts import groups

    with target.fleet().database.begin() as c:
        groups.remove(c, group)
    tell(f"group {group} is removed")
