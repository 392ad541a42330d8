"""Two to ten jobs side by side: what differs, and their curves together."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fitfleet.client.display.names import distinct
from fitfleet.dashboard.board import Board, board_of
from fitfleet.dashboard.render import params_text
from fitfleet.dashboard.view import numbers_in
from fitfleet.db.reading import lookup
from fitfleet.errors import FitfleetError, NotFoundError

MIN_JOBS, MAX_JOBS = 2, 10
_PLAIN = ("experiment", "status", "seed", "fold", "epochs", "epoch", "seconds", "engine",
          "parameters", "queue")  # fmt: skip


def page(request: Request) -> Response:
    """The whole page."""
    board = board_of(request)
    ids = numbers_in(request.query_params.get("jobs", ""))
    if not MIN_JOBS <= len(ids) <= MAX_JOBS:
        raise FitfleetError(
            f"{len(ids)} jobs were chosen; select {MIN_JOBS} to {MAX_JOBS} in the table"
            " of an experiment"
        )
    return board.page(request, "compare.html", **_context(board, ids))


def _context(board: Board, ids: list[int]) -> dict[str, Any]:
    with board.fleet.database.read() as c:
        jobs = lookup.jobs_by_id(c, ids)
        points = lookup.kept_points(c, ids)
        scores = lookup.scores_of(c, ids)
        documents = {i: lookup.documents(c, i) for i in ids}
    missing = [i for i in ids if i not in {job.id for job in jobs}]
    if missing:
        raise NotFoundError(f"there is no job {missing[0]}")
    metrics: dict[int, dict[str, Any]] = {job.id: {} for job in jobs}
    for point in points:
        metrics[point.job_id][point.name] = math.nan if point.value is None else point.value
    specs = [
        _flat(json.loads(document[0])) if (document := documents[job.id]) else {} for job in jobs
    ]
    names = differing([job.params for job in jobs])
    lines = distinct(jobs, [params_text(job.params, names) for job in jobs], ", ")
    return {
        "jobs": jobs,
        "labels": {job.id: line for job, line in zip(jobs, lines, strict=True)},
        "about": rows([{n: getattr(job, n) for n in _PLAIN} for job in jobs], only_differing=True),
        "params": rows([job.params for job in jobs], only_differing=True),
        "metrics": rows([metrics[job.id] for job in jobs]),
        "scores": rows([scores.get(job.id, {}) for job in jobs]),
        "spec": rows(specs, only_differing=True),
        "metric_names": list(dict.fromkeys(n for job in jobs for n in metrics[job.id])),
    }


def differing(documents: Sequence[dict[str, Any]]) -> list[str]:
    """Names whose values are not all equal."""
    names = dict.fromkeys(name for document in documents for name in document)
    return [n for n in names if len({json.dumps(d.get(n), sort_keys=True) for d in documents}) > 1]


def rows(
    documents: Sequence[dict[str, Any]], *, only_differing: bool = False
) -> list[tuple[str, list[Any]]]:
    """(name, value of each)."""
    names = (
        differing(documents) if only_differing else dict.fromkeys(n for d in documents for n in d)
    )
    return [(name, [document.get(name) for document in documents]) for name in names]


def _flat(document: Any, place: str = "") -> dict[str, Any]:
    """`{"model": {"layers": [{"units": 8}]}}` -> `{"model.layers[0].units": 8}`."""
    flat: dict[str, Any] = {}
    waiting = [(place, document)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, dict) and value:
            inside = [(f"{where}.{key}" if where else str(key), v) for key, v in value.items()]
        elif isinstance(value, list) and value:
            inside = [(f"{where}[{i}]", v) for i, v in enumerate(value)]
        else:
            flat[where] = value
            continue
        waiting += reversed(inside)
    return flat
