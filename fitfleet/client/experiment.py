"""Plots and exports of an experiment, however its jobs were submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fitfleet.analysis.direction import compiled_parts
from fitfleet.analysis.objective import objectives
from fitfleet.analysis.recordings import StoredRecordings
from fitfleet.analysis.results import Results
from fitfleet.analysis.runs import experiment_results
from fitfleet.db.reading import lookup
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError
from fitfleet.settings import Settings

if TYPE_CHECKING:
    from fitfleet.sweeps.exports import Exports
    from fitfleet.sweeps.plots import Plots


def plots(
    database: Database,
    settings: Settings,
    experiment: str,
    objective: str,
    direction: str | None,
) -> Plots:
    """Plots of the experiment. NotFoundError if it has no job."""
    from fitfleet.sweeps.plots import Plots

    results_now = results(database, experiment, objective, direction)
    return Plots(StoredRecordings(database, settings), results_now, experiment)


def exports(
    database: Database,
    settings: Settings,
    experiment: str,
    objective: str,
    direction: str | None,
) -> Exports:
    """Exports of the experiment. NotFoundError if it has no job."""
    from fitfleet.sweeps.exports import Exports

    def read() -> Results:
        return results(database, experiment, objective, direction)

    return Exports(StoredRecordings(database, settings), read, experiment)


def results(database: Database, experiment: str, objective: str, direction: str | None) -> Results:
    """What its jobs have come to. NotFoundError if it has none, SearchError for the objective."""
    wanted = objectives(
        objective, direction, "last", lambda name: compiled_parts(database, name, experiment)
    )
    results_read = experiment_results(database, experiment, wanted)
    if not results_read.rows:
        with database.read() as c:
            known = [
                str(summary["name"]) for summary in lookup.experiment_summary(c) if summary["jobs"]
            ]
        there = f"there are {', '.join(known[-10:])}" if known else "there is none yet"
        raise NotFoundError(f"{experiment}: no experiment with jobs; {there}")
    return results_read
