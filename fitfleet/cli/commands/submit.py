"""`run` and `submit`: from a job file to jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fitfleet.cli.arguments import SpecFile
from fitfleet.cli.command import JsonOption, Target, Trust, command, say, tell
from fitfleet.cli.commands.sweep import run_sweep, submit_sweep
from fitfleet.cli.exit_codes import JOB_FAILED
from fitfleet.cli.job_file import read_jobs
from fitfleet.cli.sweep_file import is_sweep, read_sweep
from fitfleet.errors import WaitTimeoutError
from fitfleet.states import JobStatus

if TYPE_CHECKING:
    from fitfleet.client.fleet import Fleet
    from fitfleet.client.job import Job

Again = Annotated[bool, typer.Option("--again", help="Run jobs again that were submitted before.")]


@command
def run(
    target: Target,
    file: SpecFile,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    timeout: Annotated[
        float | None,
        typer.Option(help="Stop after N seconds; unfinished jobs checkpoint and stay queued."),
    ] = None,
    trust: Trust = None,
    again: Again = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve the dashboard while it runs.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Run the jobs or the sweep of a file on this machine, wait, and print the comparison."""
    from fitfleet.embedded.launch import local

    arguments = read_sweep(file) if is_sweep(file) else None
    documents = read_jobs(file) if arguments is None else []
    directory = target.directory or Path(".fitfleet")
    with local(
        workers, directory, trusted_modules=trust or (), dashboard=dashboard, **target.given
    ) as fleet:
        if arguments is not None:
            with _timed(timeout):
                return run_sweep(fleet, arguments, timeout, as_json)
        jobs = fleet.submit_many(documents, again=again, are_untrusted=True)
        _tell_reuse(jobs)
        with _timed(timeout):
            fleet.wait(jobs, timeout_s=timeout)
        _print_comparison(fleet, jobs, as_json)
    return JOB_FAILED if any(job.status is not JobStatus.SUCCEEDED for job in jobs) else 0


@contextmanager
def _timed(timeout_s: float | None) -> Iterator[None]:
    """The fleet of `run` and its jobs end with the command; those of other fleets keep running."""
    try:
        yield
    except WaitTimeoutError:
        raise WaitTimeoutError(
            f"stopped after --timeout {timeout_s:g} s: running fits write a checkpoint, unfinished"
            " jobs stay queued; the same command resumes them"
        ) from None


@command
def submit(
    target: Target,
    file: SpecFile,
    trust: Trust = None,
    again: Again = False,
    as_json: JsonOption = False,
) -> None:
    """Queue the jobs or the sweep of a file for a fleet that runs elsewhere."""
    from fitfleet.cli.output import print_json

    if is_sweep(file):
        fleet = target.fleet(create=True, trust=trust)
        submit_sweep(fleet, read_sweep(file), as_json)
        return
    documents = read_jobs(file)
    fleet = target.fleet(create=True, trust=trust)
    jobs = fleet.submit_many(documents, again=again, are_untrusted=True)
    if as_json:
        print_json([_submitted(job) for job in jobs])
        return
    for job in jobs:
        state = f"already submitted ({job.status.value})" if job.is_reused else "queued"
        tell(f"job {job.id} {state}")


def _submitted(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "experiment": job.experiment,
        "status": job.status.value,
        "is_reused": job.is_reused,
    }


def _tell_reuse(jobs: list[Job]) -> None:
    reused = [str(job.id) for job in jobs if job.is_reused and job.status.is_terminal]
    if reused:
        failed = [str(job.id) for job in jobs if job.is_reused and job.status is JobStatus.FAILED]
        more = f" ({len(failed)} failed; fitfleet retry {' '.join(failed)})" if failed else ""
        count = f"{len(reused)} existing job{'s' if len(reused) != 1 else ''}"
        say(f"reusing {count}: {', '.join(reused)}{more}")


def _print_comparison(fleet: Fleet, jobs: list[Job], as_json: bool) -> None:
    from fitfleet.cli.commands.show_jobs import documents_of
    from fitfleet.cli.output import console, frame_table, print_json, title

    if as_json:
        print_json(documents_of(fleet, jobs))
        return
    screen = console()
    for experiment in dict.fromkeys(job.experiment for job in jobs):
        table = fleet.compare(experiment)
        if len(table):
            by = table.attrs.get("metric", "job")
            screen.print(title(experiment, f", best {by} first"))
            screen.print(frame_table(table))
            for line in table.attrs.get("notes", []):
                tell(f"note: {line}")
    for job in jobs:  # why one has failed, the wait has said
        if job.status not in (JobStatus.SUCCEEDED, JobStatus.FAILED):
            say(f"job {job.id} is {job.status.value}")
