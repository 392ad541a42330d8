"""What all plots share: the file's kind by its suffix, colours, axes, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from fitfleet.errors import FitfleetError, MissingExtraError
from fitfleet.spec.keywords import is_number
from fitfleet.text import printable

# Where a picture goes; None: the figure itself is wanted.
Target = Path | str | None
STILL = (".png", ".svg", ".pdf")
_DPI = 130
_TITLE = 120  # characters
GREY = "#777777"
BEST = "#d1495b"
# Of Okabe and Ito, told apart by colour-blind readers too.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#444444")


def is_interactive(path: Target) -> bool:
    """Whether the suffix is that of HTML rather than of a picture. FitfleetError for another one.

    Without a path it is a figure of matplotlib, which notebooks show.
    """
    if path is None:
        return False
    suffix = Path(path).suffix.lower()
    if suffix in (".html", ".htm"):
        return True
    if suffix in STILL:
        return False
    raise FitfleetError(f"{path}: the suffix is not one of {', '.join(STILL)}, .html")


def colour(index: int) -> str:
    """The colour of a series; they repeat after eight."""
    return COLOURS[index % len(COLOURS)]


def figure(width: float, height: float, title: str) -> Any:
    """A matplotlib figure of this size in inches that needs no screen."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise MissingExtraError("matplotlib", "plots") from None
    margins = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.09)
    drawn = Figure(figsize=(width, height), layout=margins)
    drawn.suptitle(cut(title, _TITLE), fontsize=13)
    return drawn


def still(draw: Callable[[], Any], path: Target) -> Any:
    """Draw with matplotlib; the figure, or the path it was written to.

    A $ is a $: names are no formulas.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError("matplotlib", "plots") from None
    with matplotlib.rc_context({"text.parse_math": False}):
        drawn = draw()
        return drawn if path is None else save(drawn, path)


def html(text: str, width: int = 60) -> str:
    """Text for Plotly, which takes tags such as <a href> in it for links."""
    return escape(cut(text, width), quote=False)


def style_axes(panel: Any) -> None:
    """A light grid and no box."""
    panel.grid(alpha=0.25)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def colormap(name: str) -> Any:
    """A colour map of matplotlib."""
    from matplotlib import colormaps

    return colormaps[name]


def plotly() -> Any:
    """plotly.graph_objects. MissingExtraError without Plotly."""
    try:
        import plotly.graph_objects as objects
    except ImportError:
        raise MissingExtraError("plotly", "plots") from None
    return objects


def page(title: str, note: str = "", **layout: Any) -> dict[str, Any]:
    """The layout of an interactive figure; the note is a small line below the title."""
    title = html(title, _TITLE) + (f"<br><sub>{html(note, _TITLE)}</sub>" if note else "")
    return {
        "title": {"text": title, "x": 0.02, "y": 0.98, "yanchor": "top", "pad": {"t": 16}},
        "template": "plotly_white",
        "font": {"size": 14},
        "margin": {"l": 80, "r": 40, "t": 80, "b": 70},
        **layout,
    }


def save(drawn: Any, path: Target) -> Path:
    """Write a figure of matplotlib or Plotly. HTML carries all it needs and works offline."""
    assert path is not None
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_interactive(target):
            drawn.write_html(target, include_plotlyjs=True, full_html=True)
        else:
            drawn.savefig(target, dpi=_DPI)
    except (OSError, ValueError) as error:
        raise FitfleetError(f"{target}: the picture could not be written: {error}") from None
    return target


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether numbers spread so widely that their logarithms are what should be drawn."""
    if not values or not all(is_number(v) and v > 0 for v in values):
        return False
    return max(values) / min(values) >= 50 and not all(float(v).is_integer() for v in values)


def log_ticks(low: float, high: float) -> list[float]:
    """Round marks on a logarithmic axis: decades, or 1, 2 and 5 of each where these are too few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        marks = [step * 10.0**decade for decade in decades for step in steps]
        inside = [mark for mark in marks if low <= mark <= high]
        if len(inside) >= 3:
            return inside
    return [low, high]


def whole_ticks(values: Sequence[float], max_ticks: int = 6) -> list[int]:
    """At most `count` whole numbers, evenly from the least to about the largest."""
    low, high = int(min(values)), int(max(values))
    return list(range(low, high + 1, max(1, -(-(high - low) // (max_ticks - 1)))))


def is_missing(value: Any) -> bool:
    """Whether a trial has no value of a parameter, which only another option has."""
    return isinstance(value, float) and math.isnan(value)


def short(name: str, width: int = 24) -> str:
    """A parameter's name without where it stands, cut to fit."""
    return cut(name.rsplit(".", 1)[-1].replace("_", " "), width)


def cut(text: str, width: int = 24) -> str:
    """A printable text of at most `length` characters."""
    text = printable(text[: width + 1])
    return text if len(text) <= width else text[: width - 1] + "…"


def unit(name: str) -> str:
    """An axis label: the metric in words, with its unit where it has one."""
    words = cut(name.replace("_", " "), 40)
    if name == "seconds":
        return "time of a job (s)"
    return {"parameters": "number of weights"}.get(name, words)
