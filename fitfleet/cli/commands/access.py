"""`token`, `user`, `group` and `audit`: who may do what, how much, and who did what."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fitfleet.cli.command import JsonOption, Target, command, tell

UserOption = Annotated[str, typer.Option("--user", help="User that the token is for.")]
NONE = "none"


def quota_of(text: str | None, name: str, kind: type) -> dict[str, Any]:
    """The quota as it is written, if it was given."""
    from fitfleet.errors import AccessError

    if text is None:
        return {}
    try:
        return {name: None if text.lower() == NONE else kind(text)}
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise AccessError(f"{name}: {text!r} is not {wanted}, nor {NONE} for no limit") from None


def group_name(text: str) -> str | None:
    """The group as it is written; None for none."""
    return None if text.lower() == NONE else text


@command
def create(
    target: Target,
    user: UserOption,
    scope: Annotated[
        str, typer.Option(help="read, submit (own experiments), admin (all), or work.")
    ] = "submit",
    quota: Annotated[
        str | None, typer.Option(help="Jobs that the user may have in flight at once, or none.")
    ] = None,
    max_jobs: Annotated[
        str | None, typer.Option(help="Jobs of this token that may be unfinished at once, or none.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid: 12h, 90d (default: until revoked).")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Put the user into this group, or none.")
    ] = None,
) -> None:
    """Create a token. It is printed once; the database stores only its hash."""
    from fitfleet.db.accounts import groups, tokens, users
    from fitfleet.db.actor import Scope
    from fitfleet.embedded.background_record import seconds_of
    from fitfleet.errors import AccessError

    if scope not in list(Scope):
        raise AccessError(f"scope: {scope!r} is not one of {', '.join(Scope)}")
    limits = quota_of(quota, "max_running", int)
    of_token = quota_of(max_jobs, "max_jobs", int)
    expires_s = None if expires is None else seconds_of(expires)
    with target.fleet().database.begin() as c:
        token = tokens.create(c, user, Scope(scope), expires_s, **of_token)
        if limits:
            users.set_quota(c, user, **limits)
        if group is not None:
            groups.set_share(c, user, group=group_name(group))
    tell(token)


@command
def listed(target: Target, as_json: JsonOption = False) -> None:
    """List tokens, without their secrets."""
    from fitfleet.cli.output import iso
    from fitfleet.db.accounts import tokens

    with target.fleet().database.read() as c:
        rows = tokens.listed(c)
    for row in rows:
        row |= {"created_at": iso(row["created_at"]), "expires_at": iso(row["expires_at"])}
    show_rows(rows, as_json, "No tokens yet. Create one with: fitfleet token create --user NAME")


_DATABASE = (
    "if hosts joined by it, they were told the password of the database: change it"
    " (ALTER ROLE ... PASSWORD, then the settings of scheduler and API), and let the other hosts"
    " join again; with deploy/postgres/roles.sql each host gets a role of its own."
)
_BROKER = (
    "Hosts that joined by it know the broker's password: if they are not trusted any more, change"
    " it too."
)


@command
def revoke(
    target: Target, token: Annotated[str, typer.Argument(help="Its number, as `list` shows it.")]
) -> None:
    """Revoke a token; it stops working at once."""
    from fitfleet.db.accounts import host_roles, tokens
    from fitfleet.db.actor import Scope

    database = target.fleet().database
    with database.begin() as c:
        user, scope = tokens.revoke(c, token)
    tell(f"token {token} of {user} is revoked")
    with database.begin() as c:
        ended_roles, left = host_roles.end(c, token)
        have_own = bool(ended_roles or left) or host_roles.may_create(c)
    users, users_left, users_own = _end_broker_users(target, token)
    for name in ended_roles:
        tell(f"role {name} of a host that joined by it is dropped")
    for name in users:
        tell(f"the broker's user {name} of a host that joined by it is deleted")
    if left:
        tell(f"the scheduler drops {', '.join(left)} within a minute; this user may not")
    if users_left:
        tell(f"the scheduler deletes {', '.join(users_left)} within a minute; this user may not")
    if scope in (Scope.WORK, Scope.ADMIN):
        roles_text = [*([] if have_own else [_DATABASE]), *([] if users_own else [_BROKER])]
        if roles_text:
            tell(" ".join(roles_text))


def _end_broker_users(target: Target, token: str) -> tuple[list[str], list[str], bool]:
    """Users that went, users that are left, and whether hosts have users of their own."""
    from fitfleet.errors import BrokerError
    from fitfleet.queue import celery_app
    from fitfleet.scheduler import broker_users

    app = celery_app(target.fleet().settings)
    try:
        ended, left = broker_users.end(app, token)
        return ended, left, bool(ended or left) or broker_users.may_create(app)
    except BrokerError:  # the scheduler does it when the broker is back
        return [], [], False


@command
def audit(
    target: Target,
    user: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show the newest N.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List changes and who made them, newest first."""
    from fitfleet.db.accounts import access

    with target.fleet().database.read() as c:
        rows = access.log(c, limit, user)
    show_rows(rows, as_json, "No changes yet.")


def show_rows(rows: list[dict[str, Any]], as_json: bool, empty: str) -> None:
    """A table of them, JSON, or the sentence for none."""
    from fitfleet.cli.output import console, frame_table, print_json

    if as_json:
        print_json(rows)
    elif not rows:
        tell(empty)
    else:
        import pandas as pd

        console().print(frame_table(pd.DataFrame(rows).fillna("")))
