"""One sweep: its design, progress, best so far, importance, and what was pruned when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fitfleet.analysis.frames import trials_frame
from fitfleet.analysis.importance import importances
from fitfleet.analysis.results import Results
from fitfleet.dashboard.board import Board, board_of
from fitfleet.dashboard.pages.experiment import csv_answer
from fitfleet.db.session import Database
from fitfleet.db.sweeps import lineage
from fitfleet.errors import FitfleetError
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.driving.sweep_rows import find_sweep
from fitfleet.text import duration

_SHOWN = 200
_GENERATIONS = 20
# Importance is a fit of many trees.
_IMPORTANCE_S = 20.0
_KEPT_S = 2.0


def page(request: Request) -> Response:
    """The whole page."""
    board = board_of(request)
    return board.page(request, "sweep.html", **_context(board, request))


def part(request: Request) -> Response:
    """What changes of it."""
    board = board_of(request)
    return board.page(request, "sweep_body.html", **_context(board, request))


def importance(request: Request) -> Response:
    """How much each parameter matters. A part of its own: Optuna takes seconds to import."""
    board = board_of(request)
    row = find_sweep(board.fleet.database, request.query_params.get("name", ""))

    def make() -> tuple[list[tuple[str, float]], str]:
        design = Design.from_json(row.document)
        results = Results(design.wanted)
        results.read(board.fleet.database, row.id)
        return _importance(results, design)

    shares, why = board.cached(("importance", row.id), make, least_s=_IMPORTANCE_S)
    return board.page(request, "importance.html", shares=shares, why=why)


def _context(board: Board, request: Request) -> dict[str, Any]:
    name = request.query_params.get("name", "")
    return board.cached(("sweep", name), lambda: _read(board, name), least_s=_KEPT_S)


def _read(board: Board, name: str) -> dict[str, Any]:
    database = board.fleet.database
    row = find_sweep(database, name)
    design = Design.from_json(row.document)
    results = Results(design.wanted)
    results.read(database, row.id)
    trials = _trials(results)
    names = [objective.name for objective in design.wanted]
    return {
        "sweep": row,
        "facts": _facts(design),
        "objectives": design.wanted,
        "counts": Counter(str(trial["state"]) for trial in trials),
        "trials_count": len(trials),
        "unfinished": results.unfinished(),
        "trials": sorted(trials, key=lambda t: _cost(t, design))[:_SHOWN],
        "params": [p for p in (results.rows[0].point if results.rows else {})],
        "names": names,
        "pruned": _pruned(results, trials),
        "generations": _generations(database, name),
    }


def _generations(database: Database, name: str) -> list[list[dict[str, Any]]]:
    """The rows of a population's lineage by generation, the last one first."""
    with database.read() as c:
        rows = lineage.of_sweep(c, name)
    generations: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        generations.setdefault(row["generation"], []).append(row)
    return [generations[number] for number in sorted(generations, reverse=True)][:_GENERATIONS]


def _trials(results: Results) -> list[dict[str, Any]]:
    frame = trials_frame(results)
    frame["why"] = frame["why"].where(frame["why"].notna(), "")
    return [{str(k): v for k, v in record.items()} for record in frame.to_dict("records")]


def _cost(trial: dict[str, Any], design: Design) -> tuple[bool, float]:
    """The best complete trial first, by the first objective."""
    value = trial.get(design.wanted[0].name)
    is_known = isinstance(value, float) and value == value and trial["state"] == "complete"
    sign = 1.0 if design.wanted[0].direction == "minimize" else -1.0
    return not is_known, sign * float(value) if is_known and value is not None else 0.0


def _facts(design: Design) -> dict[str, str]:
    """What was asked, without the long parts that every job page shows."""
    repeats = str(design.repeats)
    if design.is_racing:
        repeats += f", up to {design.max_repeats} where it may matter"
    facts = {
        "Search": design.search,
        "Trials": "all" if design.trials is None else f"up to {design.trials}",
        "Repeats": repeats,
        "Folds": _words(design.folds),
        "Pruner": _words(design.pruner),
        "Jobs at once": "" if design.max_running is None else str(design.max_running),
        "Budget": "" if design.budget_s is None else duration(design.budget_s),
        "Seed": str(design.seed),
        "Results of other experiments": "taken over" if design.is_adopting else "",
    }
    return {name: text for name, text in facts.items() if text}


def _words(document: Mapping[str, Any] | None) -> str:
    """`{"name": "hyperband", "reduction_factor": 3}` as `hyperband, reduction_factor 3`."""
    pairs = (document or {}).items()
    return ", ".join(str(v) if k in ("name", "kind") else f"{k} {v}" for k, v in pairs)


def _importance(results: Results, design: Design) -> tuple[list[tuple[str, float]], str]:
    """(shares, why there are none)."""
    try:
        shares = importances(results, design.wanted[0])
    except FitfleetError as error:
        return [], str(error)
    if not shares:
        return [], "It shows when two trials are complete."
    return sorted(shares.items(), key=lambda pair: -pair[1]), ""


def _pruned(results: Results, trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trial, the epochs its jobs had done, and what the pruner said."""
    pruned = []
    for trial in trials:
        if trial["state"] == "pruned":
            replicates = results.replicates.get(int(trial["trial"]), [])
            epochs = [(m.epoch, m.epochs, m.job_id) for m in replicates]
            pruned.append({"trial": trial["trial"], "jobs": epochs, "why": trial["why"] or ""})
    return pruned


def trials_csv(request: Request) -> Response:
    """One row per trial."""
    board = board_of(request)
    row = find_sweep(board.fleet.database, request.query_params.get("name", ""))
    results = Results(Design.from_json(row.document).wanted)
    results.read(board.fleet.database, row.id)
    frame = trials_frame(results)
    records = frame.to_dict("records")
    columns = [str(c) for c in frame.columns]
    return csv_answer(
        f"{row.name}-trials.csv", iter([columns, *([r[c] for c in columns] for r in records)])
    )
