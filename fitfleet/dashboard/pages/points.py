"""What parallel axes and a scatter are drawn from: one row per job, one value per column."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fitfleet.dashboard.pages.experiment import Experiment, title_of
from fitfleet.dashboard.view import column_of
from fitfleet.db.pages import table

_MAX_ROWS = 2_000
_MAX_AXES = 12


def points(request: Request) -> Response:
    """The first jobs of the view. Without the brush: what it leaves out is drawn faintly."""
    experiment = Experiment(request)
    key = ("points", str(request.query_params))
    return JSONResponse(experiment.board.cached(key, lambda: _points(experiment), of=experiment.id))


def _points(experiment: Experiment) -> dict[str, Any]:
    names = _names(experiment)
    ids = experiment.ranking(replace(experiment.wanted(), ranges={}, values={})).ids
    with experiment.board.fleet.database.read() as c:
        rows = table.points(c, list(ids[:_MAX_ROWS]), names)
    return {
        "columns": [{"name": name, "title": title_of(name)} for name in names],
        "jobs": [row[0] for row in rows],
        "status": [row[1] for row in rows],
        "values": [[_shown(row[2 + i]) for row in rows] for i in range(len(names))],
        "is_maximized": experiment.is_maximized(experiment.view.metric),
        "count": len(ids),
    }


def _names(experiment: Experiment) -> list[str]:
    """The parameters that differ and the metric; for a scatter its two axes and the metric."""
    view, facets = experiment.view, experiment.facets
    metric = column_of(view.metric, facets)
    differing = [f"param.{name}" for name in facets.differing][: _MAX_AXES - 1]
    if view.panel == "scatter":
        across = view.across or next(iter(differing), "seconds")
        return [across, view.up or metric, metric]
    return [*differing, metric]


def _shown(value: Any) -> Any:
    """JSON has no NaN; a list or an object of a parameter is shown as text."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
