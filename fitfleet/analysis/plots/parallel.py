"""Parallel coordinates: one line per trial through its parameters to its objective."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.plots import canvas
from fitfleet.errors import FitfleetError
from fitfleet.spec.keywords import is_number

if TYPE_CHECKING:
    import pandas as pd

_TICKS = 5
_MIN_GAP = 0.045  # between the labels of an axis, as a part of its height


@dataclass(frozen=True)
class _Axis:
    """One vertical axis: where each trial crosses it (0 to 1), and its ticks."""

    name: str
    heights: list[float]
    ticks: list[tuple[float, str]]


def plot_parallel(
    trials: pd.DataFrame, names: Sequence[str], objective: str, direction: str, path: canvas.Target,
    *, title: str, logarithmic: Collection[str] = (),
) -> Any:  # fmt: skip
    """Draw complete trials (a row each: the parameters `names` and `objective`) into `path`.

    Parameters in `logarithmic`, and those that spread widely, get a logarithmic axis.
    """
    if not len(trials):
        raise FitfleetError("no complete trial to plot yet")
    axes = [_axis(n, list(trials[n]), n in logarithmic) for n in [*names, objective]]
    if canvas.is_interactive(path):
        return canvas.save(_interactive(axes, trials, objective, direction, title), path)
    return canvas.still(lambda: _still(axes, trials, objective, direction, title), path)


def _axis(name: str, values: list[Any], is_log: bool) -> _Axis:
    """Trials without a value, of an option that they did not choose, cross at a mark below."""
    known = [v for v in values if not canvas.is_missing(v)]
    if len(known) == len(values):
        return _full_axis(name, values, is_log)
    above = _full_axis(name, known, is_log) if known else _Axis(name, [], [])
    heights = iter(above.heights)
    ticks = [(0.0, "not used"), *((0.15 + 0.85 * place, text) for place, text in above.ticks)]
    crossings = [0.0 if canvas.is_missing(v) else 0.15 + 0.85 * next(heights) for v in values]
    return _Axis(name, crossings, _apart(ticks))


def _full_axis(name: str, values: list[Any], is_log: bool) -> _Axis:
    if all(is_number(v) for v in values) and len(set(values)) > 1:
        return _numeric(name, [float(v) for v in values], is_log or canvas.is_logarithmic(values))
    options = sorted({str(v) for v in values}, key=lambda text: (len(text), text))
    heights = {text: (i + 0.5) / len(options) for i, text in enumerate(options)}
    ticks = _apart([(heights[t], canvas.cut(t)) for t in options])
    return _Axis(name, [heights[str(v)] for v in values], ticks)


def _apart(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Without those whose labels would overlap; the ends stay."""
    kept = ticks[:1]
    for tick in ticks[1:]:
        if tick[0] - kept[-1][0] >= _MIN_GAP:
            kept.append(tick)
    if len(kept) > 1 and kept[-1] != ticks[-1]:
        kept[-1] = ticks[-1]
    return kept


def _numeric(name: str, values: list[float], is_log: bool) -> _Axis:
    drawn = [math.log10(v) for v in values] if is_log else values
    low, high = min(drawn), max(drawn)
    distinct = sorted(set(values))
    if len(distinct) <= _TICKS:
        marks = distinct
    else:
        steps = [low + (high - low) * i / (_TICKS - 1) for i in range(_TICKS)]
        marks = [10**s for s in steps] if is_log else steps
    places = [math.log10(m) for m in marks] if is_log else marks
    ticks = [((p - low) / (high - low), f"{m:.3g}") for p, m in zip(places, marks, strict=True)]
    return _Axis(name, [(d - low) / (high - low) for d in drawn], _apart(ticks))


def _best(trials: pd.DataFrame, objective: str, direction: str) -> int:
    values = list(trials[objective])
    return values.index(min(values) if direction == "minimize" else max(values))


def _still(
    axes: list[_Axis], trials: pd.DataFrame, objective: str, direction: str, title: str
) -> Any:
    figure = canvas.figure(max(2.1 * len(axes), 6.5), 5.2, title)
    panel = figure.subplots()
    # The better, the darker.
    shades = canvas.colormap("viridis_r" if direction == "maximize" else "viridis")
    first = _best(trials, objective, direction)
    for i in range(len(trials)):
        heights = [axis.heights[i] for axis in axes]
        panel.plot(range(len(axes)), heights, color=shades(axes[-1].heights[i]), alpha=0.65, lw=1.2)
    best = [axis.heights[first] for axis in axes]
    panel.plot(range(len(axes)), best, color=canvas.BEST, lw=3, label=_named(first, trials))
    for position, axis in enumerate(axes):
        panel.axvline(position, color="#333333", lw=1)
        for height, text in axis.ticks:
            panel.annotate(
                text,
                (position, height),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
                zorder=5,
            )
    panel.set_xticks(range(len(axes)), [_title(axis, objective) for axis in axes], fontsize=10)
    panel.set_yticks([])
    panel.set_xlim(-0.1, len(axes) - 0.55)
    panel.set_ylim(-0.05, 1.05)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    figure.legend(loc="outside lower center", frameon=False)
    return figure


def _named(first: int, trials: pd.DataFrame) -> str:
    number = int(trials["trial"].iloc[first]) if "trial" in trials else first
    return f"best: trial {number}"


def _title(axis: _Axis, objective: str) -> str:
    return canvas.unit(objective) if axis.name == objective else canvas.short(axis.name, 18)


def _interactive(
    axes: list[_Axis], trials: pd.DataFrame, objective: str, direction: str, title: str
) -> Any:
    objects = canvas.plotly()
    dimensions = [
        {
            "label": canvas.html(_title(axis, objective)),
            "values": axis.heights,
            "range": [0, 1],
            "tickvals": [height for height, _ in axis.ticks],
            "ticktext": [canvas.html(text) for _, text in axis.ticks],
        }
        for axis in axes
    ]
    values = [float(v) for v in trials[objective]]
    figure = objects.Figure(
        objects.Parcoords(
            dimensions=dimensions,
            line={
                "color": values,
                "colorscale": "Viridis",
                "reversescale": direction == "maximize",
                "showscale": True,
                "colorbar": {"title": {"text": canvas.html(canvas.unit(objective))}},
            },
            labelfont={"size": 15},
        )
    )
    best = f"{_named(_best(trials, objective, direction), trials)}; the darker, the better"
    # The axes have their titles above them, below those of the picture.
    figure.update_layout(**canvas.page(title, best, margin={"l": 90, "r": 60, "t": 150, "b": 40}))
    return figure
