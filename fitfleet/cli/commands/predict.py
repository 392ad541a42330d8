"""`predict` and `evaluate`: a fitted model at work on other data, by the workers of the fleet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fitfleet.cli import completion
from fitfleet.cli.arguments import JobArgument
from fitfleet.cli.command import JsonOption, Target, command, quiet_tensorflow, tell
from fitfleet.errors import DatasetError

if TYPE_CHECKING:
    from fitfleet.client.job import Job

_PLACES = ("fleet", "here", "auto")

Data = Annotated[
    str,
    typer.Argument(
        help="Path or URL of a dataset, module:function, or a mapping as in a job file:"
        " '{path: d.csv, x: [a, b]}'."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows of a batch.")]
WhereOption = Annotated[
    str,
    typer.Option(
        help="fleet (a worker), here (this process, with TensorFlow), or auto.",
        autocompletion=completion.words(_PLACES),
    ),
]


@command
def predict(
    target: Target,
    job: JobArgument,
    data: Data,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File: .csv, .npy, .npz or .h5 (default: CSV here)."),
    ] = None,
    batch_size: BatchSize = 32,
    where: WhereOption = "fleet",
) -> None:
    """Predict by the fitted model of a job, for x of a dataset."""
    from fitfleet.analysis.exports import predictions

    if output is not None:
        predictions.check_target(output)
    dataset = _dataset(data)
    parts = _asked(target, job, where).predict(
        dataset,
        batch_size=batch_size,
        where=where,  # type: ignore[arg-type]  # `predict` names those there are
        stream=True,
    )
    if output is None:
        predictions.print_csv(parts)
    else:
        tell(f"{predictions.write(parts, output):,} rows in {output}")


@command
def evaluate(
    target: Target,
    job: JobArgument,
    data: Data,
    batch_size: BatchSize = 32,
    where: WhereOption = "fleet",
    as_json: JsonOption = False,
) -> None:
    """Evaluate the fitted model of a job on another dataset: its loss and metrics."""
    from fitfleet.cli.output import console, pairs_table, print_json

    dataset = _dataset(data)
    measured = _asked(target, job, where).evaluate(
        dataset,
        batch_size=batch_size,
        where=where,  # type: ignore[arg-type]
    )
    if as_json:
        print_json(measured)
    else:
        console().print(pairs_table((name, f"{value:.6g}") for name, value in measured.items()))


def _dataset(text: str) -> Any:
    """What was given, as `Job.predict` takes it. DatasetError."""
    if not text.lstrip().startswith("{"):
        return text
    from fitfleet.spec import yaml_text
    from fitfleet.spec.datasets.dataset import dataset_spec
    from fitfleet.spec.datasets.files import as_files
    from fitfleet.spec.datasets.folders import as_folder
    from fitfleet.spec.datasets.records import as_records

    document = yaml_text.load(text, "data")
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        raise DatasetError(
            f"data: {text!r:.60} is not a mapping such as '{{path: d.csv, x: [a, b]}}'"
        )
    return (
        as_folder(document) or as_records(document) or as_files(document) or dataset_spec(document)
    )


def _asked(target: Target, number: int, where: str) -> Job:
    """The job. Where this process may compute, TensorFlow does not greet."""
    if where != "fleet":
        quiet_tensorflow()
    return target.fleet().job(number)
