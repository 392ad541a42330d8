"""`plan`, `sweeps`, `resume-sweep`, `rank`, `plot`, `export-runs`: sweeps on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fitfleet.cli import completion
from fitfleet.cli.arguments import ExperimentArgument, SourceName, SpecFile, SweepName
from fitfleet.cli.command import JsonOption, Target, Trust, check_experiment, command, say, tell
from fitfleet.cli.exit_codes import BAD_INPUT, JOB_FAILED
from fitfleet.cli.sweep_file import is_sweep, read_sweep, sweep_of
from fitfleet.errors import FitfleetError

if TYPE_CHECKING:
    import pandas as pd

    from fitfleet.client.fleet import Fleet
    from fitfleet.client.sweep import Sweep
    from fitfleet.sweeps.planning.plan_rows import Plan

Top = Annotated[int | None, typer.Option(min=1, help="Show only the best N.")]
By = Annotated[
    list[str] | None, typer.Option(help="Compare the values of this parameter; may be repeated.")
]
Where = Annotated[str | None, typer.Option(help='Filter over parameters, such as "units > 16".')]

Objective = Annotated[
    str | None, typer.Option(help="Metric or score to plot (default: the sweep's, or val_loss).")
]
Direction = Annotated[
    str | None, typer.Option(help="minimize or maximize, if the metric's name does not tell.")
]
_PICTURES = ("curves", "parallel_coordinates", "slice", "importance", "box", "timeline")
_SHOWN = 5  # complaints of one kind
_FORMATS = ("csv", "parquet", "tensorboard", "mlflow")


@command
def plan(
    target: Target,
    file: SpecFile,
    top: Top = None,
    trust: Trust = None,
    as_json: JsonOption = False,
) -> int:
    """Show what a file would run, reuse and reject, and its estimated cost; queue nothing."""
    from fitfleet.cli.output import console, frame_table, print_json

    planned = _plan_of(target.fleet(create=True, trust=trust), file)
    refused = [bool(point.refused) for point in planned.points]
    # Of a sweep's points some may be refused; of a file's jobs none is queued then.
    is_bad = any(refused) if planned.noun == "job" else all(refused)
    exit_code = BAD_INPUT if is_bad else 0
    if as_json:
        print_json(planned.to_json())
        return exit_code
    table = planned.to_pandas()
    console().print(frame_table(table if top is None else table.head(top)))
    for line in planned.summary():
        tell(line)
    return exit_code


def _plan_of(fleet: Fleet, file: Path) -> Plan:
    from fitfleet.cli.job_file import read_jobs
    from fitfleet.sweeps.planning.job_plan import plan_jobs

    if is_sweep(file):
        return sweep_of(fleet, read_sweep(file)).plan()
    return plan_jobs(fleet.database, fleet.settings, read_jobs(file))


def run_sweep(
    fleet: Fleet, arguments: dict[str, Any], timeout_s: float | None, as_json: bool
) -> int:
    """What `fitfleet run` does with a sweep file: run it and print the comparison."""
    sweep = sweep_of(fleet, arguments)
    sweep.run(timeout_s=timeout_s)
    return _conclude(sweep, as_json)


def submit_sweep(fleet: Fleet, arguments: dict[str, Any], as_json: bool) -> None:
    """What `fitfleet submit` does with a sweep file: queue it and return."""
    from fitfleet.cli.output import print_json

    sweep = sweep_of(fleet, arguments).submit()
    progress = sweep.progress
    if as_json:
        print_json({"sweep": sweep.name, "experiment": sweep.experiment, **vars(progress)})
        return
    tell(f"sweep {sweep.name}: {progress.trials} trials, {progress.jobs_open} jobs queued")
    if not progress.is_done and progress.trials != progress.trials_wanted:
        tell(
            f"further trials are submitted by `fitfleet scheduler`, or by: fitfleet"
            f" resume-sweep {sweep.name}"
        )


@command
def resume_sweep(
    target: Target,
    name: SweepName,
    timeout: Annotated[float | None, typer.Option(help="Stop waiting after N seconds.")] = None,
    trust: Trust = None,
    as_json: JsonOption = False,
) -> int:
    """Resume a sweep and run it to completion, on a fleet that runs elsewhere."""
    sweep = target.fleet(trust=trust).resume_sweep(name)
    sweep.run(timeout_s=timeout)
    return _conclude(sweep, as_json)


@command
def sweeps(target: Target, as_json: JsonOption = False) -> None:
    """List sweeps and their progress."""
    import pandas as pd

    from fitfleet.cli.output import console, frame_records, frame_table, print_json

    rows: list[dict[str, Any]] = []
    for sweep in target.fleet(create=True).sweeps():
        about = {"sweep": sweep.name, "experiment": sweep.experiment}
        rows.append({**about, **vars(sweep.progress)})
    table = pd.DataFrame(rows)
    if as_json:
        print_json(frame_records(table))
    elif rows:
        console().print(frame_table(table))
    else:
        say("No sweeps here yet. Start one with: fitfleet run sweep.yaml")


@command
def lineage(target: Target, name: SweepName, as_json: JsonOption = False) -> None:
    """Show the lineage of population-based training: parents, and what was changed."""
    from fitfleet.cli.output import console, frame_records, frame_table, print_json

    table = target.fleet().resume_sweep(name).lineage()
    if as_json:
        print_json(frame_records(table))
    elif table.empty:
        say(f"Sweep {name} has no generations: it is not a population-based training.")
    else:
        columns = ["generation", "member", "job_id", "parent_job_id", "parent_member"]
        shown = table[columns].assign(
            params=[_pairs(params) for params in table["params"]],
            changes=["" if c is None else _changed(c) for c in table["changes"]],
        )
        console().print(frame_table(shown))


def _pairs(values: Mapping[str, Any]) -> str:
    from fitfleet.cli.output import number

    return " ".join(f"{name}={number(value)}" for name, value in values.items())


def _changed(changes: Mapping[str, Mapping[str, Any]]) -> str:
    return _pairs({name: change["to"] for name, change in changes.items()})


@command
def rank(
    target: Target,
    experiment: ExperimentArgument = "default",
    objective: Annotated[
        list[str] | None, typer.Option(help="Metric or score; several give a Pareto set.")
    ] = None,
    direction: Annotated[
        list[str] | None, typer.Option(help="minimize or maximize, one per objective.")
    ] = None,
    by: By = None,
    where: Where = None,
    top: Top = None,
    as_json: JsonOption = False,
) -> None:
    """Compare configurations over their repeats and folds: mean, 95 % interval, ties."""
    from fitfleet.cli.output import console, frame_records, frame_table, print_json

    table = target.fleet().rank(
        experiment,
        objective or "val_loss",
        direction=direction or None,
        by=by or None,
        where=where,
        top=top,
    )
    if as_json:
        print_json(frame_records(table))
        return
    console().print(frame_table(table))
    _explain(table)


@command
def plot(
    target: Target,
    name: SourceName,
    kind: Annotated[
        str,
        typer.Argument(
            help=f"One of {', '.join(_PICTURES)}.", autocompletion=completion.words(_PICTURES)
        ),
    ],
    path: Annotated[Path, typer.Argument(help=".png, .svg, .pdf, or .html that works offline.")],
    objective: Objective = None,
    direction: Direction = None,
) -> None:
    """Plot a sweep or an experiment."""
    if kind not in _PICTURES:
        raise FitfleetError(f"{kind}: no such picture; there are {', '.join(_PICTURES)}")
    fleet = target.fleet()
    if _is_sweep(fleet, name):
        given = {} if objective is None else {"objective": objective}
        if kind in ("curves", "timeline"):
            given = {} if objective is None or kind == "timeline" else {"metric": objective}
        tell(getattr(fleet.resume_sweep(name).plot, kind)(path, **given))
        return
    check_experiment(fleet, name)
    plots = fleet.plot(name, objective or "val_loss", direction=direction)
    tell(getattr(plots, kind)(path))


@command
def export_runs(
    target: Target,
    name: SourceName,
    form: Annotated[
        str,
        typer.Argument(
            help=f"One of {', '.join(_FORMATS)}.", autocompletion=completion.words(_FORMATS)
        ),
    ],
    path: Annotated[str, typer.Argument(help="File, folder, or MLflow's tracking URI.")],
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="TensorBoard: also running jobs, until all have ended."
        ),
    ] = False,
) -> None:
    """Export the jobs of a sweep or an experiment for other tools."""
    if form not in _FORMATS:
        raise FitfleetError(f"{form}: no such format; there are {', '.join(_FORMATS)}")
    if follow and form != "tensorboard":
        raise FitfleetError(f"--follow: goes with tensorboard, not with {form}")
    fleet = target.fleet()
    if _is_sweep(fleet, name):
        export = fleet.resume_sweep(name).export
    else:
        check_experiment(fleet, name)
        export = fleet.export(name)
    if follow:
        say(f"writing to {path} until all jobs have ended; look with: tensorboard --logdir {path}")
        tell(export.to_tensorboard(path, follow=True))
        return
    written = getattr(export, f"to_{form}")(path)
    tell(f"{len(written)} runs in {path}" if form == "mlflow" else written)


def _is_sweep(fleet: Fleet, name: str) -> bool:
    return name in {sweep.name for sweep in fleet.sweeps()}


def _conclude(sweep: Sweep, as_json: bool) -> int:
    from fitfleet.cli.output import console, frame_records, frame_table, print_json, title

    progress, table = sweep.progress, sweep.compare()
    if as_json:
        document = {"sweep": sweep.name, **vars(progress), "ranking": frame_records(table)}
        print_json(document)
    else:
        name = sweep.design.wanted[0].name
        screen = console()
        screen.print(title(sweep.name, f", best mean {name} first"))
        screen.print(frame_table(table))
        _explain(table)
        trials = sweep.trials()
        for row in trials[trials["state"] == "refused"].head(_SHOWN).to_dict("records"):
            say(f"trial {row['trial']} was refused: {row['why']}")
    return JOB_FAILED if progress.failed or not progress.complete else 0


def _explain(table: pd.DataFrame) -> None:
    """What the columns of a comparison mean."""
    if table["low"].notna().any():
        tell("low, high: 95 % interval of the mean")
    verdicts = set(table["verdict"])
    if "tie" in verdicts:
        tell("tie: the paired test cannot tell it from the best (p >= 0.05 after Holm)")
    if "best" in verdicts and "untested" in verdicts:
        tell("untested: cut short, or it shares fewer than two seeds and folds with the best")
