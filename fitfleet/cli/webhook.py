"""`webhook`: which servers are told when jobs, experiments and sweeps end, or a worker is lost."""

from __future__ import annotations

from typing import Annotated

import typer

from fitfleet.cli.access import show_rows
from fitfleet.cli.command import JsonOption, Target, command, tell


@command
def add(
    target: Target,
    place: Annotated[
        str, typer.Argument(metavar="URL", help="https://host/path, which is sent a POST.")
    ],
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="job.succeeded, job.failed, experiment.finished, sweep.finished or worker.lost;"
            " may be given several times (default: all)."
        ),
    ] = None,
) -> None:
    """Tell a server of events. The secret that signs them is printed once."""
    from fitfleet.db.accounts import webhooks

    with target.fleet().database.begin() as c:
        number, secret = webhooks.add(c, place, event or [])
    tell(f"webhook {number}: {webhooks.shown(place)}; its secret is\n{secret}")


@command
def listed(target: Target, as_json: JsonOption = False) -> None:
    """List webhooks, and what they were sent in the last week."""
    from fitfleet.db.accounts import webhooks

    with target.fleet().database.read() as c:
        rows = webhooks.listed(c)
    show_rows(rows, as_json, "There is no webhook. Make one with: fitfleet webhook add URL")


@command
def remove(
    target: Target, number: Annotated[int, typer.Argument(help="Its number, as `list` shows it.")]
) -> None:
    """Tell a server of nothing any more, of what waits neither."""
    from fitfleet.db.accounts import webhooks

    with target.fleet().database.begin() as c:
        tell(f"webhook {number} to {webhooks.remove(c, number)} is removed")
