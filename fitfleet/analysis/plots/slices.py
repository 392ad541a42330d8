"""Slices: the objective over each parameter, one point per trial."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.plots import canvas
from fitfleet.errors import FitfleetError
from fitfleet.spec.keywords import is_number

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = 3
_FEW = 5
# Without the palest quarter of the blues, or the first trials would be white on white.
_PALEST = 0.25


@dataclass(frozen=True)
class _Axis:
    """Where each trial stands on one parameter; `ticks` are None where the library chooses."""

    x: list[float]
    ticks: list[tuple[float, str]] | None
    is_log: bool = False
    is_category: bool = False


def plot_slices(
    trials: pd.DataFrame, names: Sequence[str], objective: str, direction: str, path: canvas.Target,
    *, title: str, logarithmic: Collection[str] = (),
) -> Any:  # fmt: skip
    """Draw complete trials (a row each: `trial`, the parameters `names`, `objective`).

    Parameters in `logarithmic`, and those that spread widely, get a logarithmic axis.
    """
    if not len(trials):
        raise FitfleetError("no complete trial to plot yet")
    axes = {name: _axis(list(trials[name]), name in logarithmic) for name in names}
    values = [float(v) for v in trials[objective]]
    first = values.index(min(values) if direction == "minimize" else max(values))
    drawn = (axes, list(trials["trial"]), values, first, objective, title)
    if canvas.is_interactive(path):
        return canvas.save(_interactive(*drawn), path)
    return canvas.still(lambda: _still(*drawn), path)


def _axis(values: list[Any], is_log: bool) -> _Axis:
    """Where a parameter has many values, trials that have none of it are not drawn."""
    known = [v for v in values if not canvas.is_missing(v)]
    if len(known) == len(values) or len(set(map(str, known))) <= _FEW:
        return _full_axis(["not used" if canvas.is_missing(v) else v for v in values], is_log)
    axis = _full_axis(known, is_log)
    places = iter(axis.x)
    x = [math.nan if canvas.is_missing(v) else float(next(places)) for v in values]
    return replace(axis, x=x)


def _full_axis(values: list[Any], is_log: bool) -> _Axis:
    if not all(is_number(v) for v in values) or len(set(values)) == 1:
        options = sorted({str(v) for v in values}, key=lambda text: (len(text), text))
        ticks = [(float(i), canvas.cut(text, 14)) for i, text in enumerate(options)]
        return _Axis([options.index(str(v)) for v in values], ticks, is_category=True)
    x = [float(v) for v in values]
    if is_log or canvas.is_logarithmic(x):
        marks = canvas.log_ticks(min(x), max(x))
        decades = [mark for mark in marks if math.log10(mark).is_integer()]
        # A narrow panel has no place for more labels beside one another.
        shown = decades if len(marks) > _FEW and len(decades) > 1 else marks
        return _Axis(x, [(mark, f"{mark:.3g}") for mark in shown], is_log=True)
    distinct = sorted(set(x))
    gap = min(b - a for a, b in itertools.pairwise(distinct))
    if len(distinct) <= _FEW and gap > 0.1 * (distinct[-1] - distinct[0]):
        return _Axis(x, [(mark, f"{mark:.3g}") for mark in distinct])
    return _Axis(x, None)


def _still(
    axes: dict[str, _Axis], numbers: list[int], values: list[float], first: int, objective: str,
    title: str,
) -> Any:  # fmt: skip
    from matplotlib.colors import ListedColormap

    names = list(axes)
    columns = min(_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    figure = canvas.figure(4.3 * columns + 0.9, 3.6 * lines + 0.5, title)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
    whole = canvas.colormap("Blues")
    shades = ListedColormap([whole(_PALEST + (1 - _PALEST) * i / 255) for i in range(256)])
    drawn = None
    for index, (name, axis) in enumerate(axes.items()):
        panel = panels[index // columns][index % columns]
        drawn = panel.scatter(
            axis.x,
            values,
            c=numbers,
            cmap=shades,
            s=34,
            edgecolors="#333333",
            linewidths=0.4,
        )
        star = panel.scatter([axis.x[first]], [values[first]], marker="*", s=190,
                             color=canvas.BEST, zorder=5)  # fmt: skip
        if axis.is_log:
            panel.set_xscale("log")
            panel.minorticks_off()
        if axis.ticks is not None:
            panel.set_xticks([x for x, _ in axis.ticks], [text for _, text in axis.ticks])
        if axis.is_category:
            panel.set_xlim(-0.5, len(axis.ticks or ()) - 0.5)
        panel.set_xlabel(canvas.short(name))
        canvas.style_axes(panel)
    for row in panels:
        row[0].set_ylabel(canvas.unit(objective))
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    bar = figure.colorbar(drawn, ax=panels, label="trial", shrink=0.85)
    bar.set_ticks(canvas.whole_ticks(numbers))
    figure.legend([star], [f"best: trial {numbers[first]}"], loc="outside lower center",
                frameon=False)  # fmt: skip
    return figure


def _interactive(
    axes: dict[str, _Axis], numbers: list[int], values: list[float], first: int, objective: str,
    title: str,
) -> Any:  # fmt: skip
    canvas.plotly()
    from plotly.colors import sample_colorscale
    from plotly.subplots import make_subplots

    names = list(axes)
    columns = min(_COLUMNS, len(names))
    lines = -(-len(names) // columns)
    figure = make_subplots(lines, columns, shared_yaxes=True, horizontal_spacing=0.04)
    shades = sample_colorscale("Blues", [_PALEST + (1 - _PALEST) * i / 10 for i in range(11)])
    bar = {"title": {"text": "trial"}, "tickvals": canvas.whole_ticks(numbers)}
    for index, (name, axis) in enumerate(axes.items()):
        line, column = index // columns + 1, index % columns + 1
        figure.add_scatter(
            x=axis.x,
            y=values,
            mode="markers",
            text=[f"trial {n}" for n in numbers],
            marker={"color": numbers, "colorscale": shades, "size": 9, "line": {"width": 0.5},
                    "showscale": index == 0, "colorbar": bar},
            showlegend=False,
            row=line,
            col=column,
        )  # fmt: skip
        figure.add_scatter(
            x=[axis.x[first]],
            y=[values[first]],
            mode="markers",
            marker={"symbol": "star", "color": canvas.BEST, "size": 15},
            name=f"best: trial {numbers[first]}",
            showlegend=index == 0,
            row=line,
            col=column,
        )
        words: dict[str, Any] = {"title_text": canvas.html(canvas.short(name))}
        if axis.ticks is not None:
            words["tickvals"] = [x for x, _ in axis.ticks]
            words["ticktext"] = [text for _, text in axis.ticks]
        if axis.is_log:
            words["type"] = "log"
        figure.update_xaxes(**words, row=line, col=column)
        if column == 1:
            figure.update_yaxes(title_text=canvas.unit(objective), row=line, col=column)
    figure.update_layout(**canvas.page(title), legend={"orientation": "h", "y": -0.18})
    return figure
