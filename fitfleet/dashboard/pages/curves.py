"""Values of curves that a page does not have yet, in chunks of a limited size."""

from __future__ import annotations

import math
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fitfleet.dashboard.board import board_of
from fitfleet.db.pages import curves
from fitfleet.db.pages.curves import NewValues

_MAX_JOBS = 1000
_MAX_VALUES = 12_000  # in one answer


def since(request: Request) -> Response:
    """`jobs=7:0,9:12`: of job 7 all epochs, of job 9 those after the twelfth.

    With `has_more` the page asks again with what it knows then.
    """
    board = board_of(request)
    known = _known(request.query_params.get("jobs", ""))
    metric = request.query_params.get("metric", "loss")[:200]
    text = request.query_params.get("stride", "1")
    stride = max(1, int(text)) if text.isascii() and text.isdigit() else 1

    def read() -> dict[str, Any]:
        with board.fleet.database.read() as c:
            piece = curves.since(c, known, metric, _MAX_VALUES, min(stride, 10_000))
        jobs = {str(job_id): _news(news) for job_id, news in piece.jobs.items()}
        return {"jobs": jobs, "has_more": piece.has_more}

    return JSONResponse(board.cached(("curves", str(request.query_params)), read))


def _known(text: str) -> dict[int, int]:
    epochs: dict[int, int] = {}
    for pair in text.split(",")[:_MAX_JOBS]:
        job_id, _, epoch = pair.partition(":")
        if job_id.isascii() and job_id.isdigit() and len(job_id) < 18:
            epochs[int(job_id)] = int(epoch) if epoch.isascii() and epoch.isdigit() else 0
    return epochs


def _news(news: NewValues) -> dict[str, Any]:
    return {
        "epoch": news.epoch,
        "status": news.status,
        "seconds": news.seconds,
        "epochs": news.epochs,
        "values": [_shown(value) for value in news.values],
    }


def _shown(value: float | None) -> float | None:
    """Six digits are more than a screen has."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")
