"""One experiment: its table, and what its curves, axes and groups are drawn from."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from fitfleet.analysis.direction import compiled_parts, direction_of
from fitfleet.client.display.names import distinct
from fitfleet.dashboard.ansi import plain
from fitfleet.dashboard.board import Board, board_of
from fitfleet.dashboard.render import params_text
from fitfleet.dashboard.view import PAGE, View, column_of
from fitfleet.db.jobs.labels import Labels, labels_of
from fitfleet.db.pages import ranking, table
from fitfleet.db.pages.columns import PLAIN
from fitfleet.db.pages.ranking import Ranking
from fitfleet.db.pages.table import Facets, JobQuery
from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.errors import FitfleetError, NotFoundError
from fitfleet.states import JobStatus

# Parameters and names of metrics of more jobs are read of all.
_MANY = 1_000
_DIRECTION_S = 60.0
_CSV = 1_000  # rows read at once


class Experiment:
    """One experiment as a request wants to see it."""

    def __init__(self, request: Request) -> None:
        self.board = board_of(request)
        name = request.query_params.get("name", "")
        self.row = self.board.cached(("experiment", name), lambda: self._find(name))
        self.id = int(self.row["id"])
        self.facets = self._facets()
        self.view = View.of(request.query_params, self.facets)

    def _find(self, name: str) -> dict[str, Any]:
        with self.board.fleet.database.read() as c:
            row = table.find(c, name)
        if row is None:
            raise NotFoundError(f"there is no experiment {plain(name)!r}")
        return row

    def _facets(self) -> Facets:
        def read(jobs: frozenset[int] = frozenset()) -> Facets:
            with self.board.fleet.database.read() as c:
                return table.facets(c, self.id, sorted(jobs))

        def update(facets: Facets, jobs: frozenset[int]) -> Facets | None:
            return None if len(jobs) > _MANY else facets.joined(read(jobs))

        return self.board.followed(("facets", self.id), self.id, read, update)

    def is_maximized(self, name: str) -> bool:
        """Whether more of a metric is better; less, where its direction is unknown."""

        def read() -> bool:
            try:
                parts = compiled_parts(self.board.fleet.database, name, str(self.row["name"]))
                return direction_of(name, None, parts) == "maximize"
            except FitfleetError:
                return False

        return self.board.cached(("direction", self.id, name), read, least_s=_DIRECTION_S)

    def wanted(self) -> JobQuery:
        """What the table shows, in its order: best first unless a column was chosen."""
        usual = column_of(self.view.metric, self.facets)
        is_up = self.is_maximized(self.view.metric) if self.view.metric else True
        return self.view.wanted(self.id, usual, is_up)

    def ranking(self, wanted: JobQuery) -> Ranking:
        """Its jobs in that order."""
        database = self.board.fleet.database

        def read() -> Ranking:
            with database.read() as c:
                return ranking.read(c, wanted)

        def update(current: Ranking, jobs: frozenset[int]) -> Ranking | None:
            with database.read() as c:
                return ranking.update(c, wanted, current, jobs)

        return self.board.followed(("ranking", repr(wanted)), self.id, read, update)

    def context(self) -> dict[str, Any]:
        """For the templates."""
        wanted, view = self.wanted(), self.view
        ranked = self.ranking(wanted).ids
        pages = max(1, math.ceil(len(ranked) / PAGE))
        view = replace(view, page=min(view.page, pages))
        ids = list(ranked[(view.page - 1) * PAGE : view.page * PAGE])
        return {
            "experiment": self.row,
            "view": view,
            "facets": self.facets,
            "columns": view.shown(self.facets),
            "all_columns": view.all_columns(self.facets),
            "values": [*self.facets.metrics, *self.facets.scores],
            "sorted_by": wanted.sort,
            "is_descending": wanted.is_descending,
            "count": len(ranked),
            "pages": pages,
            "rows": lines(self.board, ids, view.shown(self.facets)),
            "statuses": [status.value for status in JobStatus],
            "title": title_of,
        }


def lines(board: Board, ids: list[int], columns: list[str]) -> list[dict[str, Any]]:
    """The rows of a table: the job, and the value of each column."""
    with board.fleet.database.read() as c:
        rows = lookup.jobs_by_id(c, ids)
        values = table.metric_values(c, ids)
        scores = lookup.scores_of(c, ids)
        labels = labels_of(c, ids)
    return [
        {
            "job": row,
            "cells": [
                cell(row, name, values.get(row.id, {}), scores.get(row.id, {}), labels)
                for name in columns
            ],
        }
        for row in rows
    ]


def cell(
    row: JobRow,
    name: str,
    metrics: dict[str, Any],
    scores: dict[str, Any],
    labels: dict[int, Labels],
) -> Any:
    """The value of a column."""
    if name in ("tags", "note"):
        labelled = labels.get(row.id, Labels())
        return ", ".join(labelled.tags) if name == "tags" else labelled.note
    kind, _, key = name.partition(".")
    if kind == "param":
        return row.params.get(key)
    if kind == "metric":
        return math.nan if key in metrics and metrics[key] is None else metrics.get(key)
    if kind == "score":
        return scores.get(key)
    names = {"job": "id", "attempts": "attempt", "submitted": "submitted_at"}
    names["finished"] = "finished_at"
    value = getattr(row, names.get(name, name))
    return value.value if isinstance(value, JobStatus) else value


def title_of(name: str) -> str:
    """The heading of a column."""
    return plain(name if name in PLAIN else name.partition(".")[2])


def page(request: Request) -> Response:
    """The whole page."""
    experiment = Experiment(request)
    return experiment.board.page(request, "experiment.html", is_part=False, **experiment.context())


def part(request: Request) -> Response:
    """The table; the URL of the page becomes that of the new view."""
    experiment = Experiment(request)
    board, key = experiment.board, ("table", str(request.query_params))
    context = board.cached(key, experiment.context, of=experiment.id)
    answer = HTMLResponse(
        board.cached(
            (*key, board.is_read_only),
            lambda: board.render("table.html", is_part=True, **context),
            of=experiment.id,
        )
    )
    link = board.templates.globals["link"]
    answer.headers["hx-replace-url"] = link("/experiment", **context["view"].query())  # type: ignore[operator]
    return answer


def chosen(request: Request) -> Response:
    """Which jobs the curves are drawn of: those selected, or the best."""
    experiment = Experiment(request)
    key = ("chosen", str(request.query_params))
    return JSONResponse(experiment.board.cached(key, lambda: _chosen(experiment), of=experiment.id))


def _chosen(experiment: Experiment) -> dict[str, Any]:
    view, facets = experiment.view, experiment.facets
    ids = list(view.selected)
    if not ids:
        best, is_up = column_of(view.metric, facets), experiment.is_maximized(view.metric)
        wanted = replace(experiment.wanted(), sort=best, is_descending=is_up)
        ids = list(experiment.ranking(wanted).ids[: view.best])
    with experiment.board.fleet.database.read() as c:
        rows = lookup.jobs_by_id(c, ids)
    rows = [row for row in rows if row.experiment == experiment.row["name"]]
    texts = [params_text(row.params, facets.differing) for row in rows]
    jobs = [
        {
            "id": row.id,
            "label": label,
            "configuration": text,
            "group": row.group_hash,
            "seed": row.seed,
            "status": row.status.value,
        }
        for row, text, label in zip(rows, texts, distinct(rows, texts, ", "), strict=True)
    ]
    values = [*facets.metrics, *facets.scores]
    return {"jobs": jobs, "values": values, "metric": view.metric}


def table_csv(request: Request) -> Response:
    """All rows of the view, not of its page only."""
    experiment = Experiment(request)
    columns = ["job", *experiment.view.shown(experiment.facets)]
    ids = experiment.ranking(experiment.wanted()).ids
    name = f"{plain(str(experiment.row['name']))}.csv"
    return csv_answer(name, _csv_rows(experiment.board, ids, columns))


def _csv_rows(board: Board, ids: Sequence[int], columns: list[str]) -> Iterator[list[Any]]:
    yield [title_of(name) for name in columns]
    for start in range(0, len(ids), _CSV):
        for line in lines(board, list(ids[start : start + _CSV]), columns):
            yield line["cells"]


def csv_answer(name: str, rows: Iterator[list[Any]]) -> Response:
    """A file to download. What a spreadsheet would take for a formula is quoted."""
    from urllib.parse import quote

    def text() -> Iterator[str]:
        for row in rows:
            buffer = io.StringIO()
            csv.writer(buffer).writerow([_csv_cell(value) for value in row])
            yield buffer.getvalue()

    kind = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return StreamingResponse(text(), 200, {"content-disposition": kind}, "text/csv; charset=utf-8")


def _csv_cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = plain(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
