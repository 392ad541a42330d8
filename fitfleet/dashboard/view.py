"""The state of an experiment's page: all of it is in its URL, and comes from there."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.datastructures import QueryParams

from fitfleet.db.pages.columns import PLAIN, is_known
from fitfleet.db.pages.table import Facets, JobQuery
from fitfleet.spec.keywords import is_number
from fitfleet.states import JobStatus

PAGE = 50
PANELS = ("curves", "parallel", "scatter", "groups")
_STATUSES = {status.value for status in JobStatus}
_MAX_SELECTED = 200
_MAX_BEST = 1000
_PLAIN_SHOWN = ("seed", "epoch", "seconds")


@dataclass(frozen=True)
class View:
    """What is shown. Unknown names of a URL are left out rather than refused."""

    name: str
    sort: str = ""  # "": the metric, best first
    is_descending: bool = False
    search: str = ""
    statuses: tuple[str, ...] = ()
    page: int = 1
    columns: tuple[str, ...] = ()  # (): the parameters that differ, the metrics and the scores
    brush: tuple[tuple[str, Any], ...] = ()  # column -> (low, high), or a list of values
    selected: tuple[int, ...] = ()
    panel: str = "curves"
    metric: str = ""
    best: int = 10
    x: str = "epoch"
    is_log: bool = False
    smoothing: float = 0.0
    has_band: bool = False
    across: str = ""  # the axes of the scatter
    up: str = ""

    @classmethod
    def of(cls, query: QueryParams, facets: Facets) -> View:
        """From a URL's query or the fields of the page's form."""
        known = facets.columns
        metric = query.get("metric", "")
        values = [*facets.metrics, *facets.scores]
        chosen = [c for c in _listed(query, "cols") if is_known(c, known)]
        return cls(
            name=query.get("name", ""),
            sort=_column(query.get("sort", ""), known),
            is_descending=query.get("desc") == "1",
            search=query.get("q", "")[:200],
            statuses=tuple(s for s in _listed(query, "status") if s in _STATUSES),
            page=_whole(query.get("page"), 1, 1, 10**9),
            columns=tuple(dict.fromkeys(chosen)),
            brush=_brush(query.get("brush", ""), known),
            selected=tuple(numbers_in(query.get("sel", ""))[:_MAX_SELECTED]),
            panel=_one_of(query.get("panel"), PANELS),
            metric=metric if metric in values else _usual(facets),
            best=_whole(query.get("best"), 10, 1, _MAX_BEST),
            x=_one_of(query.get("x"), ("epoch", "seconds")),
            is_log=query.get("log") == "1",
            smoothing=_share(query.get("smooth")),
            has_band=query.get("band") == "1",
            across=_column(query.get("across", ""), known),
            up=_column(query.get("up", ""), known),
        )

    def query(self, **changes: Any) -> dict[str, Any]:
        """For a link to this view, changed; what is as usual is left out."""
        v = replace(self, **changes)
        return {
            "name": v.name,
            "sort": v.sort,
            "desc": "1" if v.is_descending else "",
            "q": v.search,
            "status": list(v.statuses),
            "page": v.page if v.page > 1 else "",
            "cols": list(v.columns),
            "brush": v.brush_text,
            "sel": ",".join(map(str, v.selected)),
            "panel": v.panel if v.panel != "curves" else "",
            "metric": v.metric,
            "best": v.best if v.best != 10 else "",
            "x": v.x if v.x != "epoch" else "",
            "log": "1" if v.is_log else "",
            "smooth": f"{v.smoothing:g}" if v.smoothing else "",
            "band": "1" if v.has_band else "",
            "across": v.across,
            "up": v.up,
        }

    @property
    def brush_text(self) -> str:
        """As the page's scripts write it."""
        return json.dumps(dict(self.brush)) if self.brush else ""

    def wanted(self, experiment_id: int, default: str, is_usual_descending: bool) -> JobQuery:
        """For the database; `usual` is what is sorted by if nothing else is said."""
        return JobQuery(
            experiment_id,
            self.sort or default,
            self.is_descending if self.sort else is_usual_descending,
            self.search,
            self.statuses,
            {n: (v[0], v[1]) for n, v in self.brush if isinstance(v, tuple)},
            {n: v for n, v in self.brush if isinstance(v, list)},
        )

    def shown(self, facets: Facets) -> list[str]:
        """The columns of the table."""
        if self.columns:
            return list(self.columns)
        return [
            "status",
            *(f"param.{name}" for name in facets.differing),
            *(f"metric.{name}" for name in facets.metrics if name != "learning_rate"),
            *(f"score.{name}" for name in facets.scores),
            *_PLAIN_SHOWN,
        ]

    @staticmethod
    def all_columns(facets: Facets) -> list[str]:
        """Every column that may be chosen."""
        return [*facets.columns, *(name for name in PLAIN if name != "job")]


def column_of(name: str, facets: Facets) -> str:
    """`val_loss` -> `metric.val_loss`; a score's name -> its column."""
    return f"score.{name}" if name in facets.scores else f"metric.{name}" if name else "job"


def _usual(facets: Facets) -> str:
    for name in ("val_loss", "loss"):
        if name in facets.metrics:
            return name
    return next(iter([*facets.metrics, *facets.scores]), "")


def _listed(query: QueryParams, name: str) -> list[str]:
    return [part for text in query.getlist(name) for part in text.split("\x1f") if part]


def _column(text: str, known: Sequence[str]) -> str:
    return text if is_known(text, known) else ""


def _one_of(text: str | None, names: Sequence[str]) -> str:
    return text if text is not None and text in names else names[0]


def _whole(text: str | None, default: int, minimum: int, maximum: int) -> int:
    try:
        return max(minimum, min(int(text or default), maximum))
    except ValueError:
        return default


def _share(text: str | None) -> float:
    try:
        value = float(text or 0.0)
    except ValueError:
        return 0.0
    return min(max(value, 0.0), 0.99) if math.isfinite(value) else 0.0


def numbers_in(text: str) -> list[int]:
    """`1,2,3` as numbers of jobs, each once; what is none is left out."""
    digits = (part for part in text.split(",") if part.isascii() and part.isdigit())
    return list(dict.fromkeys(int(part) for part in digits if len(part) < 18))


def _brush(text: str, known: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    try:
        ranges = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return ()
    if not isinstance(ranges, dict):
        return ()
    brush: list[tuple[str, Any]] = []
    for name, value in ranges.items():
        if not is_known(name, known) or not isinstance(value, list):
            continue
        if len(value) == 2 and all(is_number(v) for v in value):
            brush.append((name, (float(value[0]), float(value[1]))))
        elif value and all(isinstance(v, str) for v in value):
            brush.append((name, [str(v) for v in value[:200]]))
    return tuple(brush)
