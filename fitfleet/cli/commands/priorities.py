"""`priority` and `limit`: which jobs go first, and how many at once."""

from __future__ import annotations

from typing import Annotated

import typer

from fitfleet.cli.arguments import ExperimentArgument, JobsArgument
from fitfleet.cli.command import Target, command, tell


@command
def priority(
    target: Target,
    value: Annotated[int, typer.Argument(help="Larger goes first; the default of jobs is 0.")],
    jobs: JobsArgument,
) -> None:
    """Change the priority of jobs that have not ended."""
    fleet = target.fleet()
    for job in [fleet.job(number) for number in jobs]:
        job.set_priority(value)
        tell(f"job {job.id} has priority {value}")


@command
def limit(
    target: Target,
    experiment: ExperimentArgument,
    max_running: Annotated[
        int | None,
        typer.Option("--max-running", min=1, help="Maximum running jobs; without it, no limit."),
    ] = None,
) -> None:
    """Limit how many jobs of an experiment run at once."""
    target.fleet().limit(experiment, max_running)
    tell(f"{experiment}: {max_running or 'any number of'} jobs at once")
