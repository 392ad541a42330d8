"""Routes of what jobs have recorded, for pictures, exports and ensembles made at the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fitfleet.analysis.direction import compiled_parts
from fitfleet.analysis.objective import objectives
from fitfleet.analysis.recordings import StoredRecordings
from fitfleet.analysis.runs import experiment_runs
from fitfleet.api.requests import Document
from fitfleet.api.sweep_routes import checked_results
from fitfleet.client.ensemble import candidate_rows
from fitfleet.client.experiment import results as experiment_results
from fitfleet.client.fleet import Fleet
from fitfleet.errors import FitfleetError

_MAX_CANDIDATES = 1_000


def records(fleet: Fleet, document: Document) -> Any:
    """Of `jobs`, `what`: scores, kept_points, points, curves of `metric` in `phase`, attempts."""
    stored, ids = StoredRecordings(fleet.database, fleet.settings), document.numbers("jobs")
    what = document.needed("what")
    if what == "curves":
        of_jobs = stored.curves(ids, document.needed("metric"), document.needed("phase"))
        return {job: list(curve.items()) for job, curve in of_jobs.items()}
    readers: dict[str, Callable[[list[int]], Any]] = {
        "scores": stored.scores,
        "kept_points": stored.kept_points,
        "points": stored.points,
        "attempts": stored.attempts,
    }
    if what not in readers:
        raise FitfleetError(f"what: {what!r:.40} is not one of curves, {', '.join(readers)}")
    return readers[what](ids)


def results(fleet: Fleet, document: Document) -> Any:
    """What the jobs of an experiment have come to, as trials."""
    found = experiment_results(
        fleet.database,
        document.text("experiment") or "default",
        document.text("objective") or "val_loss",
        document.text("direction"),
    )
    return checked_results(found)


def runs(fleet: Fleet, document: Document) -> Any:
    """The ended jobs of an experiment as `rank` sees them, and the objectives."""
    experiment = document.text("experiment") or "default"
    wanted = objectives(
        document.texts("objective") or "val_loss",
        document.texts("direction") or None,
        document.text("at", "last"),
        lambda name: compiled_parts(fleet.database, name, experiment),
    )
    return {"wanted": wanted, "runs": experiment_runs(fleet.database, experiment, wanted)}


def candidates(fleet: Fleet, document: Document) -> Any:
    """Rows of the jobs that an ensemble is chosen of, best first, and the metric's direction."""
    count = document.whole("count", 1) or 1
    if not 1 <= count <= _MAX_CANDIDATES:
        raise FitfleetError(f"candidates: {count} is not a number from 1 to {_MAX_CANDIDATES:,}")
    direction, rows = candidate_rows(
        fleet.database,
        document.text("experiment") or "default",
        document.needed("metric"),
        document.text("direction"),
        count,
    )
    return {"direction": direction, "rows": rows}


POST: dict[str, Callable[[Fleet, Document], Any]] = {
    "records": records,
    "results": results,
    "runs": runs,
    "candidates": candidates,
}
