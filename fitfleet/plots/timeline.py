"""Who ran what when: a row a worker slot, a bar an attempt, its colour the outcome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.errors import FitfleetError
from fitfleet.plots import canvas

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


def plot_timeline(attempts: pd.DataFrame, path: str | Path, *, title: str) -> Path:
    """Draw attempts (`worker`, `job`, `start`, `end` in seconds, `outcome`) into `path`."""
    if not len(attempts):
        raise FitfleetError("there is no attempt to draw yet: no job has been started")
    if canvas.is_interactive(path):
        return canvas.save(_interactive(attempts, title), path)
    return canvas.save(_still(attempts, title), path)


def _lanes(attempts: pd.DataFrame) -> list[str]:
    return sorted({str(worker) for worker in attempts["worker"]})


def _colour(outcome: str) -> str:
    return _OUTCOMES.get(outcome, _FAILED)


def _still(attempts: pd.DataFrame, title: str) -> Any:
    from matplotlib.patches import Patch

    lanes = _lanes(attempts)
    made = canvas.figure(9.6, 2.0 + 0.45 * len(lanes), title)
    panel = made.subplots()
    span = max(float(attempts["end"].max()), 1e-9)
    for row in attempts.to_dict("records"):
        start, outcome = float(row["start"]), str(row["outcome"])
        length = max(float(row["end"]) - start, span / 500)
        lane = lanes.index(str(row["worker"]))
        panel.barh(lane, length, left=start, height=0.68, color=_colour(outcome),
                   edgecolor="white", linewidth=0.6)  # fmt: skip
        if length > span * 0.022 * len(str(row["job"])):
            panel.text(start + length / 2, lane, str(row["job"]), ha="center", va="center",
                       fontsize=8, color="white")  # fmt: skip
    panel.set_yticks(range(len(lanes)), lanes, fontsize=9)
    panel.set_ylim(len(lanes) - 0.5, -0.5)
    panel.set_xlim(0, span * 1.01)
    panel.set_xlabel("time since the first attempt (s); numbers are jobs")
    panel.set_ylabel("worker slot")
    canvas.dress(panel)
    panel.grid(axis="y", visible=False)
    seen = dict.fromkeys(attempts["outcome"])
    handles = [Patch(color=_colour(outcome), label=outcome) for outcome in seen]
    made.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
    return made


def _interactive(attempts: pd.DataFrame, title: str) -> Any:
    objects = canvas.plotly()
    made = objects.Figure()
    for outcome, rows in attempts.groupby("outcome", sort=False):
        made.add_bar(
            base=list(rows["start"]),
            x=list(rows["end"] - rows["start"]),
            y=list(rows["worker"]),
            orientation="h",
            name=str(outcome),
            marker={"color": _colour(str(outcome)), "line": {"color": "white", "width": 1}},
            text=[str(job) for job in rows["job"]],
            hovertext=[
                f"job {row['job']}, trial {row['trial']}: {outcome}"
                for row in rows.to_dict("records")
            ],
            insidetextanchor="middle",
        )
    made.update_layout(
        **canvas.page(title, margin={"l": 180, "r": 40, "t": 80, "b": 80}),
        barmode="overlay",
        legend={"orientation": "h", "y": -0.2},
    )
    made.update_xaxes(title_text="time since the first attempt (s); numbers are jobs")
    made.update_yaxes(autorange="reversed", title_text="worker slot")
    return made
