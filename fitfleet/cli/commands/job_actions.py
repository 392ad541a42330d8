"""`cancel`, `retry`, `extend`, `pause`, `resume` and `export`: what is done to jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fitfleet.cli import completion
from fitfleet.cli.arguments import ExperimentArgument, JobArgument, JobsArgument, SomeJobs
from fitfleet.cli.command import Target, check_experiment, command, quiet_tensorflow, tell
from fitfleet.errors import FitfleetError, NotFoundError, SpecError
from fitfleet.states import JobStatus


@command
def cancel(
    target: Target,
    jobs: SomeJobs = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            "-e",
            help="All unfinished jobs of this experiment.",
            autocompletion=completion.experiments,
        ),
    ] = None,
    is_all: Annotated[
        bool, typer.Option("--all", help="All unfinished jobs of the fleet.")
    ] = False,
) -> None:
    """Cancel jobs; a running one stops within seconds and keeps its last checkpoint."""
    fleet = target.fleet()
    handles = [fleet.job(job) for job in jobs or []]
    if experiment is not None:
        check_experiment(fleet, experiment)
    if experiment is not None or is_all:
        unfinished = [status for status in JobStatus if not status.is_terminal]
        handles += fleet.jobs(None if is_all else experiment, unfinished)
    elif not handles:
        raise SpecError("cancel", "say which jobs, by number, with --experiment or with --all")
    for job in {job.id: job for job in handles}.values():
        was = job.status
        now = job.cancel()
        if was.is_terminal:
            tell(f"job {job.id} already finished ({was.value})")
        elif now.is_terminal:
            tell(f"job {job.id} {now.value.lower()}")
        else:
            tell(f"job {job.id} will stop at its next heartbeat")
    if not handles:
        tell(f"No unfinished jobs{f' in {experiment}' if experiment else ''}.")


@command
def retry(target: Target, jobs: JobsArgument) -> None:
    """Queue failed, cancelled or pruned jobs again, from their checkpoints."""
    fleet = target.fleet()
    for job in [fleet.job(number) for number in jobs]:
        job.retry()
        tell(f"job {job.id} queued")


@command
def extend(
    target: Target,
    job: JobArgument,
    epochs: Annotated[int, typer.Option(min=1, help="Total number of epochs.")],
) -> None:
    """Train a finished job to a larger total number of epochs."""
    handle = target.fleet().job(job)
    handle.extend(epochs=epochs)
    tell(f"job {handle.id} queued: continues from epoch {handle.epoch} to {handle.epochs}")


@command
def pause(target: Target, experiment: ExperimentArgument) -> None:
    """Pause an experiment: start no new jobs."""
    fleet = target.fleet()
    check_experiment(fleet, experiment)
    fleet.pause(experiment)
    tell(f"{experiment} paused; resume with: fitfleet resume {experiment}")


@command
def resume(target: Target, experiment: ExperimentArgument) -> None:
    """Resume a paused experiment."""
    fleet = target.fleet()
    check_experiment(fleet, experiment)
    fleet.resume(experiment)
    tell(f"{experiment} resumed")


@command
def export(
    target: Target,
    job: JobArgument,
    path: Annotated[Path, typer.Argument(help="model.keras, model.h5 or model.json.")],
) -> None:
    """Write the fitted model of a job to a file."""
    if path.suffix not in (".keras", ".h5", ".json"):
        raise SpecError(str(path), "a model is written as .keras, .h5 or .json")
    if not path.absolute().parent.is_dir():
        raise NotFoundError(f"{path}: the folder {path.absolute().parent} does not exist")
    handle = target.fleet().job(job)
    quiet_tensorflow()
    try:
        written = handle.export(path)
    except OSError as error:
        raise FitfleetError(f"{path}: cannot be written: {error.strerror}") from None
    tell(written)
