"""Who ran what when: one row per worker slot, one bar per attempt, its colour the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fitfleet.analysis.plots import canvas
from fitfleet.errors import FitfleetError

if TYPE_CHECKING:
    import pandas as pd

_OUTCOMES = {
    "succeeded": "#009e73",
    "pruned": "#e69f00",
    "released": "#56b4e9",
    "cancelled": "#999999",
    "running": "#0072b2",
}
_FAILED = "#d1495b"


def plot_timeline(attempts: pd.DataFrame, path: canvas.Target, *, title: str) -> Any:
    """Draw attempts (`worker`, `job`, `start`, `end` in seconds, `outcome`) into `path`."""
    if not len(attempts):
        raise FitfleetError("no attempts to plot yet: no job has been started")
    if canvas.is_interactive(path):
        return canvas.save(_interactive(attempts, title), path)
    return canvas.still(lambda: _still(attempts, title), path)


def _slots(attempts: pd.DataFrame) -> list[str]:
    return sorted({str(worker) for worker in attempts["worker"]})


def _colour(outcome: str) -> str:
    return _OUTCOMES.get(outcome, _FAILED)


def _packed(attempts: pd.DataFrame) -> list[tuple[dict[str, Any], int, int]]:
    """(attempt, its row within the slot, rows of the slot): jobs of a cohort run side by side."""
    packed = []
    for worker in _slots(attempts):
        ends: list[float] = []
        placed = []
        for row in attempts[attempts["worker"] == worker].sort_values("start").to_dict("records"):
            start, end = float(row["start"]), float(row["end"])
            free = next((i for i, until in enumerate(ends) if until <= start + 1e-9), len(ends))
            ends[free : free + 1] = [end]
            placed.append(({str(k): v for k, v in row.items()}, free))
        packed += [(row, place, len(ends)) for row, place in placed]
    return packed


def _still(attempts: pd.DataFrame, title: str) -> Any:
    from matplotlib.patches import Patch

    slots = _slots(attempts)
    packed = _packed(attempts)
    max_rows = max(rows for _, _, rows in packed)
    figure = canvas.figure(9.6, 2.0 + len(slots) * min(0.4 + 0.12 * max_rows, 2.2), title)
    panel = figure.subplots()
    span = max(float(attempts["end"].max()), 1e-9)
    for row, place, rows in packed:
        start, outcome, job = float(row["start"]), str(row["outcome"]), str(row["job"])
        length = max(float(row["end"]) - start, span / 500)
        height = 0.76 / rows
        middle = slots.index(str(row["worker"])) - 0.38 + height * (place + 0.5)
        panel.barh(middle, length, left=start, height=height, color=_colour(outcome),
                   edgecolor="white", linewidth=0.5)  # fmt: skip
        if rows <= 8 and length > span * 0.016 * len(job):
            panel.text(start + length / 2, middle, job, ha="center", va="center",
                       fontsize=8, color="white")  # fmt: skip
    panel.set_yticks(range(len(slots)), slots, fontsize=9)
    panel.set_ylim(len(slots) - 0.5, -0.5)
    panel.set_xlim(0, span * 1.01)
    panel.set_xlabel("time since the first attempt (s); numbers are jobs")
    panel.set_ylabel("worker slot")
    canvas.style_axes(panel)
    panel.grid(axis="y", visible=False)
    seen = dict.fromkeys(str(outcome) for outcome in attempts["outcome"])
    handles = [Patch(color=_colour(outcome), label=outcome) for outcome in seen]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
    return figure


def _interactive(attempts: pd.DataFrame, title: str) -> Any:
    objects = canvas.plotly()
    figure = objects.Figure()
    packed = _packed(attempts)
    for outcome in dict.fromkeys(str(row["outcome"]) for row, _, _ in packed):
        bars = [(row, place) for row, place, _ in packed if str(row["outcome"]) == outcome]
        figure.add_bar(
            base=[row["start"] for row, _ in bars],
            x=[row["end"] - row["start"] for row, _ in bars],
            y=[
                [canvas.html(str(row["worker"])) for row, _ in bars],
                [str(place + 1) for _, place in bars],
            ],
            orientation="h",
            name=outcome,
            marker={"color": _colour(outcome), "line": {"color": "white", "width": 1}},
            text=[str(row["job"]) for row, _ in bars],
            hovertext=[f"job {r['job']}, trial {r['trial']}: {outcome}" for r, _ in bars],
            textposition="inside",
            insidetextanchor="middle",
        )
    figure.update_layout(
        **canvas.page(title, margin={"l": 180, "r": 40, "t": 80, "b": 80}),
        barmode="overlay",
        legend={"orientation": "h", "y": -0.2},
    )
    figure.update_xaxes(title_text="time since the first attempt (s); numbers are jobs")
    figure.update_yaxes(autorange="reversed", title_text="worker slot")
    return figure
