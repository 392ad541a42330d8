"""What the shell offers on TAB: experiments, jobs, statuses, sweeps, pictures, formats, workers.

Nothing is offered, and nothing said, where the database cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from fitfleet.cli.command import Target
from fitfleet.errors import FitfleetError
from fitfleet.states import JobStatus

if TYPE_CHECKING:
    from fitfleet.db.session import Connection

_NEWEST = 50
Offer = list[tuple[str, str]]  # word, help


def statuses(incomplete: str) -> list[str]:
    """Every status; in small letters where they are typed so."""
    small = incomplete.islower()
    words = [status.value.lower() if small else status.value for status in JobStatus]
    return [word for word in words if word.startswith(incomplete)]


def words(known: Iterable[str]) -> Callable[[str], list[str]]:
    """One of a fixed list."""
    offered = tuple(known)

    def offer(incomplete: str) -> list[str]:
        return [word for word in offered if word.startswith(incomplete)]

    return offer


def experiments(ctx: typer.Context, incomplete: str) -> Offer:
    """Names of experiments, with how many jobs they have."""
    from fitfleet.db.reading import lookup

    def read(c: Connection) -> Offer:
        summaries = lookup.experiment_summary(c)
        return [(summary["name"], f"{sum(summary['jobs'].values())} jobs") for summary in summaries]

    return _from_database(ctx, incomplete, read)


def jobs(ctx: typer.Context, incomplete: str) -> Offer:
    """Numbers of the newest jobs, with their experiment and status."""
    from fitfleet.db.reading import lookup

    def read(c: Connection) -> Offer:
        rows = lookup.find_jobs(c, limit=_NEWEST)
        return [(str(row.id), f"{row.experiment} {row.status.value}") for row in reversed(rows)]

    return _from_database(ctx, incomplete, read)


def sweeps(ctx: typer.Context, incomplete: str) -> Offer:
    """Names of sweeps."""
    from fitfleet.db.sweeps import sweeps as table

    return _from_database(
        ctx, incomplete, lambda c: [(row.name, row.experiment) for row in table.listed(c)]
    )


def sweeps_and_experiments(ctx: typer.Context, incomplete: str) -> Offer:
    """Both, each name once."""
    return list(dict([*experiments(ctx, incomplete), *sweeps(ctx, incomplete)]).items())


def workers(ctx: typer.Context, incomplete: str) -> Offer:
    """Names of worker services and their hosts."""
    from fitfleet.db.fleet import workers as table

    def read(c: Connection) -> Offer:
        rows = table.live(c, 60.0)
        names = {row["name"] or row["service"]: row["queue"] for row in rows}
        return [*names.items(), *{row["host"]: "all of this host" for row in rows}.items()]

    return _from_database(ctx, incomplete, read)


def _from_database(
    ctx: typer.Context, incomplete: str, read: Callable[[Connection], Offer]
) -> Offer:
    from fitfleet.db.session import Database

    options = {name: ctx.params.get(name) for name in ("database_url", "broker_url", "storage")}
    try:
        target = Target(ctx.params.get("directory"), options)
        if not target.has_database():
            return []
        database = Database(target.settings().database_url)
        with database.read() as c:
            offered = read(c)
        database.dispose()
    except FitfleetError:
        return []
    return [(word, help) for word, help in offered if word.startswith(incomplete)]
