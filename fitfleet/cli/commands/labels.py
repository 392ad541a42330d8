"""`tag` and `note`: what people write on jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from fitfleet.cli.arguments import JobArgument, JobsArgument
from fitfleet.cli.command import Target, command, tell


@command
def tag(
    target: Target,
    name: Annotated[str, typer.Argument(help="The tag.")],
    jobs: JobsArgument,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tag.")] = False,
) -> None:
    """Add a tag to jobs, or remove it."""
    fleet = target.fleet()
    for job in [fleet.job(number) for number in jobs]:
        tags = job.untag(name) if remove else job.tag(name)
        tell(f"job {job.id} has {', '.join(tags) or 'no tags'}")


@command
def note(
    target: Target,
    job: JobArgument,
    text: Annotated[str, typer.Argument(help="New note; an empty one removes it.")],
) -> None:
    """Set the note of a job."""
    target.fleet().job(job).write_note(text)
    tell(f"job {job} has {'a' if text else 'no'} note")
