"""Configurations of an experiment: mean, interval, and the verdict of the paired test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fitfleet.analysis.configurations import ranked_columns
from fitfleet.analysis.objective import Objective
from fitfleet.dashboard.pages.experiment import Experiment, csv_answer

_SHOWN = 100
# Minimum interval, since every run of the experiment is read.
_KEPT_S = 5.0
_NUMBERS = ("n", "incomplete", "mean", "std", "low", "high", "best", "worst", "seconds")


def part(request: Request) -> Response:
    """The best configurations."""
    experiment = Experiment(request)
    table = _ranked(experiment)
    return experiment.board.page(
        request,
        "groups.html",
        rows=table[:_SHOWN],
        count=len(table),
        metric=experiment.view.metric,
        names=experiment.facets.differing,
        experiment=experiment.row,
        view=experiment.view,
    )


def groups_csv(request: Request) -> Response:
    """All of them."""
    experiment = Experiment(request)
    names = list(experiment.facets.params)
    columns = [*names, *_NUMBERS, "verdict", "test", "p"]

    def rows() -> Iterator[list[Any]]:
        yield columns
        for row in _ranked(experiment):
            yield [row.get(name) for name in columns]

    return csv_answer(f"{experiment.row['name']}-groups.csv", rows())


def _ranked(experiment: Experiment) -> list[dict[str, Any]]:
    metric = experiment.view.metric
    if not metric:
        return []
    direction = "maximize" if experiment.is_maximized(metric) else "minimize"

    def make() -> list[dict[str, Any]]:
        wanted = Objective(metric, "maximize" if direction == "maximize" else "minimize")
        database = experiment.board.fleet.database
        columns = ranked_columns(database, str(experiment.row["name"]), wanted)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    return experiment.board.cached(("groups", experiment.id, metric), make, least_s=_KEPT_S)
