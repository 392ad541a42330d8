"""`fitfleet drill`: a proof on this machine that faults change no result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fitfleet.cli.command import JsonOption, Target, command
from fitfleet.cli.exit_codes import JOB_FAILED, OK
from fitfleet.errors import SettingsError


@command
def drill(
    target: Target,
    jobs: Annotated[int, typer.Option(min=1, help="Number of small jobs.")] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    seed: Annotated[int, typer.Option(help="Random seed of the faults.")] = 0,
    timeout: Annotated[
        float, typer.Option(help="Seconds without a heartbeat after which a job is lost.")
    ] = 600.0,
    as_json: JsonOption = False,
) -> int:
    """Run small jobs while workers are killed and messages lost or duplicated; compare.

    In an embedded fleet, with an experiment and a queue of its own. Exit code 1 if a job was
    lost, done twice, or ended with other numbers than undisturbed.
    """
    from dataclasses import asdict

    from fitfleet.chaos import drill as drills
    from fitfleet.cli.output import print_json

    if target.given:
        option = next(iter(target.given)).replace("_", "-")
        raise SettingsError(f"--{option}: a drill runs in an embedded fleet; give --directory only")
    directory = target.directory or Path(".fitfleet")
    verdict = drills.drill(directory, jobs=jobs, workers=workers, seed=seed, timeout_s=timeout)
    if as_json:
        more = {"is_good": verdict.is_good, "seconds_lost": verdict.seconds_lost}
        print_json({**asdict(verdict), **more})
    else:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(verdict.faults.items()))
        print(f"done       {verdict.done} of {verdict.jobs}, in {verdict.attempts} attempts")
        print(f"lost       {verdict.lost}")
        print(f"twice      {verdict.twice}")
        print(f"different  {verdict.different}")
        print(f"faults     {faults or 'none'}")
        print(
            f"seconds    {verdict.seconds:.1f}, {verdict.seconds_lost:.1f} of them lost to faults"
        )
    return OK if verdict.is_good else JOB_FAILED
