"""Arguments and options that several commands have, each with what the shell offers for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fitfleet.cli import complete

JobArgument = Annotated[
    int, typer.Argument(help="Number of the job.", autocompletion=complete.jobs)
]
JobsArgument = Annotated[
    list[int], typer.Argument(help="Numbers of the jobs.", autocompletion=complete.jobs)
]
SomeJobs = Annotated[
    list[int] | None,
    typer.Argument(help="Numbers of the jobs.", show_default=False, autocompletion=complete.jobs),
]
ExperimentArgument = Annotated[
    str, typer.Argument(help="Name of the experiment.", autocompletion=complete.experiments)
]
ExperimentOption = Annotated[
    str | None,
    typer.Option(
        "--experiment",
        "-e",
        help="Only jobs of this experiment.",
        autocompletion=complete.experiments,
    ),
]
SweepName = Annotated[
    str,
    typer.Argument(
        help="Name of the sweep; `fitfleet sweeps` lists them.", autocompletion=complete.sweeps
    ),
]
SourceName = Annotated[
    str,
    typer.Argument(
        help="Name of a sweep or of an experiment.", autocompletion=complete.sweeps_and_experiments
    ),
]
SpecFile = Annotated[Path, typer.Argument(help="YAML or JSON file of jobs or of a sweep.")]
