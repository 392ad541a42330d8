"""`du`, `rm` and `gc`: what is on the disk, and taking it off."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fitfleet.cli import completion
from fitfleet.cli.arguments import ExperimentArgument, SomeJobs
from fitfleet.cli.command import JsonOption, Target, check_experiment, command, tell
from fitfleet.errors import SpecError, StateError
from fitfleet.text import printable, size

if TYPE_CHECKING:
    from rich.table import Table

    from fitfleet.client.disk import DiskUsage


@command
def du(target: Target, as_json: JsonOption = False) -> None:
    """Show disk usage by experiment: weights, checkpoints and logs."""
    from dataclasses import asdict

    from fitfleet.cli.output import console, print_json

    usage = target.fleet().disk_usage()
    if as_json:
        print_json({**asdict(usage), "total_bytes": usage.total_bytes})
        return
    console().print(_usage_table(usage))
    if any(experiment.unused_bytes for experiment in usage.experiments):
        tell("unused: files that no job points to; `fitfleet gc` removes those older than an hour")


def _usage_table(usage: DiskUsage) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("experiment")
    for name in ("jobs", "weights", "checkpoints", "logs", "unused", "total"):
        table.add_column(name, justify="right")
    for experiment in usage.experiments:
        parts = (
            experiment.weights_bytes,
            experiment.checkpoint_bytes,
            experiment.log_bytes,
            experiment.unused_bytes,
        )
        cells = [size(part) if part else "" for part in parts]
        table.add_row(
            printable(experiment.experiment),
            str(experiment.jobs),
            *cells,
            size(experiment.total_bytes),
        )
    for name, count in usage.shared.items():
        table.add_row(f"({name})", *[""] * 5, size(count))
    table.add_row("total", *[""] * 5, size(usage.total_bytes), style="bold")
    return table


@command
def rm(
    target: Target,
    jobs: SomeJobs = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            "-e",
            help="The whole experiment, with its sweeps.",
            autocompletion=completion.experiments,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be deleted.")
    ] = False,
) -> None:
    """Delete finished jobs or an experiment: rows, metrics, weights, logs. Cannot be undone."""
    if bool(jobs) == (experiment is not None):
        raise SpecError("rm", "say either which jobs, by number, or which --experiment")
    fleet = target.fleet()
    if experiment is not None:
        check_experiment(fleet, experiment)
    going = fleet.remove(jobs or (), experiment=experiment, is_dry=True)
    count = f"{going.jobs} job{'s' if going.jobs != 1 else ''}"
    what = f"experiment {experiment} with {count}" if experiment is not None else count
    summary = f"{what}, {size(going.size_bytes)} of weights, checkpoints and logs"
    if dry_run:
        tell(f"would remove {summary}")
        return
    _confirm(yes, f"remove {summary}", f"Remove {printable(summary)}? This cannot be undone.")
    fleet.remove(jobs or (), experiment=experiment)
    tell(f"removed {summary}")


@command
def archive(
    target: Target,
    experiment: ExperimentArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Move a finished experiment to Parquet files of the storage: rows, metrics, kept weights."""
    fleet = target.fleet()
    check_experiment(fleet, experiment)
    shown = printable(experiment)
    question = f"Archive {shown}? Its jobs cannot be resumed or extended before it is restored."
    _confirm(yes, f"archive {shown}", question)
    kept = fleet.archive(experiment)
    weights = sum(name.startswith("weights/") for name in kept.files)
    tell(
        f"archived {shown}: {kept.rows['runs']} jobs, {kept.rows['curves']} metrics, {weights}"
        f" weights files, {size(kept.size_bytes)}, checked, in {kept.folder} of the storage"
    )


@command
def restore(
    target: Target,
    archive: Annotated[
        str, typer.Argument(help="Folder in .archive of the storage, another folder, or a URL.")
    ],
) -> None:
    """Put an archived experiment back, with its metrics and weights; the archive stays."""
    done = target.fleet().restore(archive)
    tell(
        f"restored {printable(done.experiment)}: {done.jobs} jobs, {done.metrics} metrics,"
        f" {done.files} weights and checkpoints; the archive stays in {done.folder}"
    )
    if done.shift:
        tell(f"numbers of its jobs are taken, so they have others: job N is now N + {done.shift}")


def _confirm(yes: bool, what: str, question: str) -> None:
    """Return if it shall be done; the command ends if it shall not."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise StateError(f"not done: {what}; this is not a terminal, so confirm with --yes")
    if not typer.confirm(question):
        tell("nothing changed")
        raise typer.Exit


@command
def gc(
    target: Target,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment", "-e", help="Only this.", autocompletion=completion.experiments
        ),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Jobs of each experiment whose weights are kept (default: the setting keep_best).",
        ),
    ] = None,
    checkpoint_days: Annotated[
        float, typer.Option(min=0, help="How long unfinished jobs keep their checkpoint.")
    ] = 7.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be deleted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete weights and checkpoints that need not be kept; metrics and scores stay."""
    from dataclasses import asdict

    from fitfleet.cli.output import print_json
    from fitfleet.db.accounts import access
    from fitfleet.db.actor import Scope
    from fitfleet.scheduler.retention import Policy, collect

    fleet = target.fleet()
    kept = fleet.settings.keep_best if best is None else best
    policy = Policy(best=kept, checkpoint_days=checkpoint_days)
    if not dry_run:
        with fleet.database.begin() as c:
            what = f"best {kept}, checkpoints of {checkpoint_days:g} days"
            access.change(c, "gc", experiment or "all experiments", what, needs=Scope.ADMIN)
    collected = collect(
        fleet.database, fleet.settings, policy, experiment=experiment, is_dry=dry_run
    )
    if as_json:
        files = [asdict(file) for file in collected]
        total = sum(file["size_bytes"] for file in files)
        print_json({"is_dry": dry_run, "size_bytes": total, "files": files})
        return
    count = total = 0
    for file in collected:
        tell(f"{file.size_bytes:>12,}  {file.path}  ({file.why})")
        count, total = count + 1, total + file.size_bytes
    verb = "would go" if dry_run else "gone"
    tell(f"{count} files, {total:,} bytes {verb}")
