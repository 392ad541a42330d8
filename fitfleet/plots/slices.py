"""Slices: the objective over each parameter, a point a trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.errors import FitfleetError
from fitfleet.plots import canvas

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = 3


def plot_slices(
    trials: pd.DataFrame, names: Sequence[str], objective: str, direction: str, path: str | Path,
    *, title: str,
) -> Path:  # fmt: skip
    """Draw complete trials (a row each: `trial`, the parameters `names`, `objective`)."""
    if not len(trials):
        raise FitfleetError("there is no complete trial to draw yet")
    if canvas.is_interactive(path):
        return canvas.save(_interactive(trials, names, objective, title), path)
    return canvas.save(_still(trials, names, objective, direction, title), path)


def _places(values: Sequence[Any]) -> tuple[list[Any], list[str] | None, bool]:
    """(x of each trial, labels if the values are categories, whether the axis is logarithmic)."""
    if all(canvas.is_number(v) for v in values) and len(set(values)) > 1:
        return [float(v) for v in values], None, canvas.is_logarithmic(list(values))
    options = sorted({str(v) for v in values}, key=lambda text: (len(text), text))
    return [options.index(str(v)) for v in values], options, False


def _still(
    trials: pd.DataFrame, names: Sequence[str], objective: str, direction: str, title: str
) -> Any:
    from matplotlib.colors import ListedColormap

    columns = min(_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    made = canvas.figure(4.3 * columns + 0.9, 3.6 * lines + 0.5, title)
    panels = made.subplots(lines, columns, squeeze=False, sharey=True)
    values = [float(v) for v in trials[objective]]
    first = values.index(min(values) if direction == "minimize" else max(values))
    # Without its palest quarter, or the first trials would be white on white.
    whole = canvas.colormap("Blues")
    shades = ListedColormap([whole(0.25 + 0.75 * i / 255) for i in range(256)])
    drawn = None
    for index, name in enumerate(names):
        panel = panels[index // columns][index % columns]
        x, options, is_log = _places(list(trials[name]))
        drawn = panel.scatter(
            x,
            values,
            c=list(trials["trial"]),
            cmap=shades,
            s=34,
            edgecolors="#333333",
            linewidths=0.4,
        )
        panel.scatter([x[first]], [values[first]], marker="*", s=190, color=canvas.BEST, zorder=5,
                      label="best trial")  # fmt: skip
        if options is not None:
            panel.set_xticks(range(len(options)), options)
            panel.set_xlim(-0.5, len(options) - 0.5)
        if is_log:
            panel.set_xscale("log")
        panel.set_xlabel(canvas.short(name))
        canvas.dress(panel)
    for row in panels:
        row[0].set_ylabel(canvas.unit(objective))
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    made.colorbar(drawn, ax=panels, label="trial", shrink=0.85)
    panels[0][0].legend(frameon=False, fontsize=9)
    return made


def _interactive(trials: pd.DataFrame, names: Sequence[str], objective: str, title: str) -> Any:
    canvas.plotly()
    from plotly.subplots import make_subplots

    columns = min(_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    made = make_subplots(lines, columns, shared_yaxes=True, horizontal_spacing=0.04)
    numbers = list(trials["trial"])
    values = [float(v) for v in trials[objective]]
    for index, name in enumerate(names):
        line, column = index // columns + 1, index % columns + 1
        x, options, is_log = _places(list(trials[name]))
        made.add_scatter(
            x=x,
            y=values,
            mode="markers",
            text=[f"trial {n}" for n in numbers],
            marker={"color": numbers, "colorscale": "Blues", "size": 9, "line": {"width": 0.5},
                    "showscale": index == 0, "colorbar": {"title": {"text": "trial"}}},
            showlegend=False,
            row=line,
            col=column,
        )  # fmt: skip
        axis: dict[str, Any] = {"title_text": canvas.short(name)}
        if options is not None:
            axis |= {"tickvals": list(range(len(options))), "ticktext": options}
        if is_log:
            axis["type"] = "log"
        made.update_xaxes(**axis, row=line, col=column)
        if column == 1:
            made.update_yaxes(title_text=canvas.unit(objective), row=line, col=column)
    made.update_layout(**canvas.page(title))
    return made
