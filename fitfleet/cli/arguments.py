"""Arguments and options that several commands have, each with what the shell offers for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fitfleet.cli import completion

JobArgument = Annotated[
    int, typer.Argument(help="Number of the job.", autocompletion=completion.jobs)
]
JobsArgument = Annotated[
    list[int], typer.Argument(help="Numbers of the jobs.", autocompletion=completion.jobs)
]
SomeJobs = Annotated[
    list[int] | None,
    typer.Argument(help="Numbers of the jobs.", show_default=False, autocompletion=completion.jobs),
]
ExperimentArgument = Annotated[
    str, typer.Argument(help="Name of the experiment.", autocompletion=completion.experiments)
]
ExperimentOption = Annotated[
    str | None,
    typer.Option(
        "--experiment",
        "-e",
        help="Only jobs of this experiment.",
        autocompletion=completion.experiments,
    ),
]
SweepName = Annotated[
    str,
    typer.Argument(
        help="Name of the sweep; `fitfleet sweeps` lists them.", autocompletion=completion.sweeps
    ),
]
SourceName = Annotated[
    str,
    typer.Argument(
        help="Name of a sweep or of an experiment.",
        autocompletion=completion.sweeps_and_experiments,
    ),
]
SpecFile = Annotated[Path, typer.Argument(help="YAML or JSON file of jobs or of a sweep.")]
