"""`webhook`: servers notified when jobs, experiments and sweeps end, or a worker is lost."""

from __future__ import annotations

from typing import Annotated

import typer

from fitfleet.cli.command import JsonOption, Target, command, tell
from fitfleet.cli.commands.access import show_rows


@command
def add(
    target: Target,
    place: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="URL that receives a POST: https://host/path; or apprise:slack://...",
        ),
    ],
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="job.succeeded, job.failed, experiment.finished, sweep.finished or worker.lost;"
            " may be repeated (default: all)."
        ),
    ] = None,
) -> None:
    """Add a webhook. The secret that signs its events is printed once."""
    from fitfleet.db.accounts import webhooks

    with target.fleet().database.begin() as c:
        number, secret = webhooks.add(c, place, event or [])
    if place.startswith("apprise:"):  # people check no signature
        tell(f"webhook {number}: {webhooks.shown(place)}")
    else:
        tell(f"webhook {number}: {webhooks.shown(place)}; its secret is\n{secret}")


@command
def listed(target: Target, as_json: JsonOption = False) -> None:
    """List webhooks and their deliveries of the last week."""
    from fitfleet.db.accounts import webhooks

    with target.fleet().database.read() as c:
        rows = webhooks.listed(c)
    show_rows(rows, as_json, "No webhooks yet. Add one with: fitfleet webhook add URL")


@command
def remove(
    target: Target, number: Annotated[int, typer.Argument(help="Its number, as `list` shows it.")]
) -> None:
    """Remove a webhook; pending deliveries are dropped."""
    from fitfleet.db.accounts import webhooks

    with target.fleet().database.begin() as c:
        tell(f"webhook {number} to {webhooks.remove(c, number)} is removed")
