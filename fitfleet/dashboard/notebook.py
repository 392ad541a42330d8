"""`fleet.dashboard()`: the page beside a script, and in a notebook the experiment in its cell."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from fitfleet.dashboard.serve import Dashboard
from fitfleet.db.pages import curves, fleet, table
from fitfleet.db.pages.table import JobQuery
from fitfleet.db.reading import lookup
from fitfleet.errors import DatabaseError

if TYPE_CHECKING:
    from fitfleet.client.fleet import Fleet

_POLL_S = 1.0
_SHOWN = 8
_WIDTH, _HEIGHT = 640, 200
_VALUES = 8 * 500
_COLOURS = ("#2a78d6", "#c2410c", "#178a5b", "#9333a8", "#b08900", "#0e7490", "#be185d", "#4d7c0f")


class FleetView:
    """What `fleet.dashboard()` gives: `url` for a browser; a notebook's cell shows it live."""

    def __init__(self, handle: Fleet, page: Dashboard, experiment: str | None) -> None:
        self.page = page
        self._fleet = handle
        self._experiment = experiment

    @property
    def url(self) -> str:
        """A link that signs one browser in, once; each call makes another."""
        return self.page.url

    def __repr__(self) -> str:
        return f"<dashboard {self.page.address}; sign in with .url>"

    def html(self) -> str:
        """The experiment as it is now: counts, the best jobs and their curves."""
        return str(self.page.board.render("cell.html", url=self.url, **self._context()))

    def _context(self) -> dict[str, Any]:
        with self._fleet.database.read() as c:
            counts = fleet.counts(c)
            name = self._experiment or next(reversed(counts), None)
            experiment = None if name is None else table.find(c, name)
            if experiment is None:
                return {"name": name, "counts": {}, "rows": [], "lines": [], "metric": ""}
            facets = table.facets(c, experiment["id"])
            metric = "val_loss" if "val_loss" in facets.metrics else "loss"
            ids = table.page(c, JobQuery(experiment["id"], f"metric.{metric}"), _SHOWN)
            piece = curves.since(c, dict.fromkeys(ids, 0), metric, _VALUES)
            jobs = lookup.jobs_by_id(c, ids)
        lines = [(job.id, piece.jobs[job.id].epochs, piece.jobs[job.id].values) for job in jobs]
        values = {job_id: last for job_id, _, experiment in lines for last in experiment[-1:]}
        return {
            "name": name,
            "counts": counts[str(name)],
            "metric": metric,
            "rows": [(job, values.get(job.id)) for job in jobs],
            "lines": _drawn(lines),
        }

    def _ipython_display_(self) -> None:
        """Show it, and keep the cell up to date until the fleet is closed or all is done."""
        from IPython.display import HTML, display

        cell = display(HTML(self.html()), display_id=True)
        threading.Thread(target=self._follow, args=(cell,), name="cell", daemon=True).start()

    def _follow(self, cell: Any) -> None:
        from IPython.display import HTML

        is_open = True
        while is_open and not self.page.is_stopped.wait(_POLL_S):
            try:
                is_open = any(
                    self._context()["counts"].get(s) for s in ("QUEUED", "DISPATCHED", "RUNNING")
                )
                cell.update(HTML(self.html()))
            except DatabaseError:
                continue


def view(handle: Fleet, page: Dashboard | None, experiment: str | None) -> FleetView:
    """A view of the fleet; its page is started unless it is there."""
    return FleetView(handle, page or Dashboard(handle).start(), experiment)


def _drawn(
    lines: list[tuple[int, list[int], list[float | None]]],
) -> list[tuple[str, str]]:
    """(colour, points of an SVG polyline) of each curve."""
    values = [v for _, _, curve in lines for v in curve if v is not None]
    last = max((epochs[-1] for _, epochs, _ in lines if epochs), default=0)
    if not values or last < 2:
        return []
    low, high = min(values), max(values)
    span = high - low or 1.0
    drawn = []
    for colour, (_, epochs, curve) in zip(_COLOURS, lines, strict=False):
        pairs = [(e, v) for e, v in zip(epochs, curve, strict=True) if v is not None]
        points = [
            f"{_WIDTH * (e - 1) / (last - 1):.1f},{_HEIGHT * (1 - (v - low) / span):.1f}"
            for e, v in pairs
        ]
        drawn.append((colour, " ".join(points)))
    return drawn
