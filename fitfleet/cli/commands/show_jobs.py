"""`ps`, `show`, `watch`, `logs` and `compare`: what there is."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fitfleet.cli import completion
from fitfleet.cli.arguments import ExperimentOption, JobArgument
from fitfleet.cli.command import (
    JsonOption,
    Target,
    check_experiment,
    command,
    say,
    tell,
)
from fitfleet.cli.exit_codes import JOB_FAILED
from fitfleet.states import JobStatus
from fitfleet.text import printable_lines

if TYPE_CHECKING:
    from fitfleet.client.fleet import Fleet
    from fitfleet.client.job import Job
    from fitfleet.db.reading.lookup import JobRow


@command
def ps(
    target: Target,
    experiment: ExperimentOption = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="Only jobs of this status; may be repeated.", autocompletion=completion.statuses
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Show the newest N jobs (0 = all).")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List jobs, the newest last."""
    from fitfleet.cli.output import console, job_table, print_json

    if not target.has_database():
        _say_empty(as_json, "No fleet here yet. Start one with: fitfleet run job.yaml")
        return
    fleet = target.fleet()
    jobs = fleet.jobs(experiment, status, limit=limit or None)
    if as_json:
        print_json(documents_of(fleet, jobs))
        return
    if not jobs:
        _say_empty(False, "No such jobs." if experiment or status else "No jobs yet.")
        return
    rows = [job.row for job in jobs]
    screen = console()
    screen.print(job_table(rows, _last_values(fleet, [row.id for row in rows])))
    for line in _unserved(fleet, rows):
        screen.print(f"warning: {line}", style="yellow", soft_wrap=True)
    if limit and len(rows) == limit:
        screen.print(f"The newest {limit} jobs; --limit 0 lists all.", style="dim")


def _unserved(fleet: Fleet, rows: Sequence[JobRow]) -> list[str]:
    """A sentence for each queue of waiting jobs that no worker serves, while others are served."""
    return fleet.unserved({row.queue for row in rows if not row.status.is_terminal})


@command
def show(
    target: Target,
    job: JobArgument,
    spec: Annotated[bool, typer.Option("--spec", help="Print the job's specification.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one job in detail: status, learning curve, scores, error."""
    from fitfleet.cli.job_page import job_page
    from fitfleet.cli.output import print_json

    fleet = target.fleet()
    handle = fleet.job(job)
    if spec:
        print_json(handle.spec.model_dump(mode="json"))
    elif as_json:
        print_json(_full_document(fleet, handle))
    else:
        job_page(handle)


@command
def why(target: Target, job: JobArgument, as_json: JsonOption = False) -> None:
    """Explain why a job waits, which jobs go first, and when it should start."""
    from dataclasses import asdict

    from fitfleet.cli.output import print_json

    explanation = target.fleet().job(job).why()
    if as_json:
        print_json(asdict(explanation))
    else:
        tell(explanation)


@command
def watch(target: Target, experiment: ExperimentOption = None) -> int:
    """Follow unfinished jobs until all finish."""
    fleet = target.fleet()
    if experiment is not None:
        check_experiment(fleet, experiment)
    jobs = fleet.unfinished(experiment)
    if not jobs:
        _say_empty(False, "No unfinished jobs.")
        return 0
    return JOB_FAILED if fleet.follow(jobs).get(JobStatus.FAILED) else 0


@command
def logs(
    target: Target,
    job: JobArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow until the job has ended.")
    ] = False,
) -> None:
    """Print the output of a job."""
    handle = target.fleet().job(job)
    if follow:
        for piece in handle.logs(follow=True):
            sys.stdout.write(printable_lines(piece))
            sys.stdout.flush()
        return
    text = handle.logs()
    if not text:
        _say_empty(False, f"Job {job} has printed nothing; it is {handle.status.value}.")
    sys.stdout.write(printable_lines(text))


@command
def compare(
    target: Target,
    experiment: Annotated[
        str | None,
        typer.Argument(
            help="Experiment; optional if there is only one.",
            autocompletion=completion.experiments,
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric to sort by (default: val_loss, else loss).")
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help="minimize or maximize, if the metric's name does not tell.")
    ] = None,
    at: Annotated[
        Literal["last", "best"],
        typer.Option(help="Compare the values of the `last` or the `best` epoch."),
    ] = "last",
    top: Annotated[int | None, typer.Option(min=1, help="Show only the best N.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Jobs of every status, not only succeeded ones.")
    ] = False,
    curves: Annotated[
        Path | None, typer.Option(help="Also plot learning curves to this file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the jobs of an experiment, best first."""
    from fitfleet.cli.output import console, frame_records, frame_table, print_json

    fleet = target.fleet()
    name = experiment or _only_experiment(fleet)
    table = fleet.compare(
        name,
        metric,
        direction=direction,
        at=at,
        top=top,
        status=None if everything else JobStatus.SUCCEEDED,
    )
    if curves is not None:
        _draw(fleet, [int(job) for job in table["job"]], curves, name)
    if as_json:
        print_json(frame_records(table))
    elif not len(table):
        _say_empty(False, f"No job of {name!r} has succeeded yet; see: fitfleet ps -e {name}")
    else:
        console().print(frame_table(table))
        for line in table.attrs.get("notes", []):
            tell(f"note: {line}")


def _draw(fleet: Fleet, job_ids: list[int], path: Path, title: str) -> None:
    from fitfleet.analysis.plots.curves import plot_curves
    from fitfleet.client.display.names import labels

    handles = [fleet.job(job_id) for job_id in job_ids]
    job_labels = labels([job.row for job in handles])
    curves = {
        f"job {job.id}: {text}": job.history for job, text in zip(handles, job_labels, strict=True)
    }
    plot_curves(curves, path, title=title)
    say(f"learning curves: {path}")


def _only_experiment(fleet: Fleet) -> str:
    from fitfleet.errors import NotFoundError

    names = [experiment["name"] for experiment in fleet.experiments()]
    if len(names) == 1:
        return str(names[0])
    if not names:
        raise NotFoundError("no experiments yet; run a file of jobs with: fitfleet run jobs.yaml")
    raise NotFoundError(f"say which experiment to compare: {', '.join(names)}")


def documents_of(fleet: Fleet, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Jobs for --json, with the values of their last epoch and their scores."""
    from fitfleet.cli.output import job_document

    recorded = fleet.recorded([job.id for job in jobs])
    return [
        job_document(job.row, recorded[job.id]["values"], recorded[job.id]["scores"])
        for job in jobs
    ]


def _last_values(fleet: Fleet, job_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    return {number: recorded["values"] for number, recorded in fleet.recorded(job_ids).items()}


def _full_document(fleet: Fleet, job: Job) -> dict[str, Any]:
    from fitfleet.cli.output import frame_records, iso

    document = documents_of(fleet, [job])[0]
    document["failure_traceback"] = job.row.failure_traceback
    document["history"] = frame_records(job.history)
    document["attempts"] = [_attempt_document(attempt) for attempt in job.attempts]
    document["events"] = [{**event, "at": iso(event["at"])} for event in job.events]
    document["weights"] = _place_of_weights(fleet, job) if job.row.artifact_path else None
    return document


def _place_of_weights(fleet: Fleet, job: Job) -> str:
    """The file, or where the API hands it out."""
    url = fleet.settings.url
    return f"{url}/v1/jobs/{job.id}/weights" if url else str(job.weights_path)


def _attempt_document(attempt: dict[str, Any]) -> dict[str, Any]:
    from fitfleet.cli.output import iso

    environment = attempt["environment"]
    return {
        **attempt,
        "started_at": iso(attempt["started_at"]),
        "ended_at": iso(attempt["ended_at"]),
        "environment": None if environment is None else json.loads(environment),
    }


def _say_empty(as_json: bool, sentence: str) -> None:
    """An empty list is no error; scripts get [], people a sentence."""
    tell("[]" if as_json else sentence)
