"""Learning curves: one line per job, training dashed, validation solid, as a PNG, SVG or PDF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.plots import canvas
from fitfleet.errors import FitfleetError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# More lines than this cannot be told apart by a legend.
_LEGEND_LINES = 12


def plot_curves(
    histories: Mapping[str, pd.DataFrame],
    path: canvas.Target,
    *,
    title: str = "Learning curves",
) -> Any:
    """Draw the histories (label -> `Job.history`) into `path` and return it.

    One panel a metric, the loss first. The suffix decides the format. MissingExtraError without
    matplotlib, FitfleetError if no history has an epoch or the file cannot be written.
    """
    drawn = {label: history for label, history in histories.items() if len(history)}
    if not drawn:
        raise FitfleetError("no curves to plot: no job has finished an epoch")
    if len(drawn) < len(histories):
        title += f", {len(drawn)} of {len(histories)} jobs"
    if path is not None and canvas.is_interactive(path):
        raise FitfleetError(f"{path}: the suffix is not one of {', '.join(canvas.STILL)}")
    return canvas.still(lambda: _figure(drawn, title), path)


def _figure(drawn: Mapping[str, pd.DataFrame], title: str) -> Any:
    figure_class, colours = _matplotlib()
    metrics = _metrics(drawn)
    figure = figure_class(figsize=(6.2 * len(metrics), 4.6), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    shades = [colours(index / max(len(drawn) - 1, 1) * 0.92) for index in range(len(drawn))]
    for metric, panel in zip(metrics, panels, strict=True):
        for shade, (label, history) in zip(shades, drawn.items(), strict=True):
            _draw(panel, history, metric, shade, label)
        _style_axes(panel, metric)
    _legend(figure, drawn, shades)
    figure.suptitle(canvas.cut(title, 120))
    return figure


def _matplotlib() -> tuple[Any, Any]:
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots") from None
    return Figure, colormaps["viridis"]


def _metrics(histories: Mapping[str, pd.DataFrame]) -> list[str]:
    """The metrics without Keras's val_ prefix, the loss first, at most four."""
    names = [
        str(name).removeprefix("val_")
        for history in histories.values()
        for name in history.columns
        if name not in ("epoch", "learning_rate")
    ]
    return sorted(dict.fromkeys(names), key=lambda name: name != "loss")[:4]


def _draw(panel: Axes, history: pd.DataFrame, metric: str, shade: Any, label: str) -> None:
    has_validation = f"val_{metric}" in history
    # A single epoch is a point, which a line without a marker would not show.
    marker = "o" if len(history) < 3 else None
    if metric in history:
        style = (0, (2, 1.5)) if has_validation else "-"
        width = 1.0 if has_validation else 1.6
        panel.plot(
            history["epoch"], history[metric], color=shade, ls=style, lw=width, marker=marker
        )
    if has_validation:
        panel.plot(history["epoch"], history[f"val_{metric}"], color=shade, lw=1.6, marker=marker)


def _style_axes(panel: Axes, metric: str) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_xlabel("epoch")
    panel.set_ylabel(canvas.unit(metric))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def _legend(figure: Any, histories: Mapping[str, pd.DataFrame], shades: list[Any]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    if len(histories) <= _LEGEND_LINES:
        handles = [
            Line2D([], [], color=shade, lw=2, label=canvas.cut(label, 80))
            for shade, label in zip(shades, histories, strict=True)
        ]
    if any(str(name).startswith("val_") for h in histories.values() for name in h.columns):
        handles += [
            Line2D([], [], color="0.3", lw=1.6, label="validation"),
            Line2D([], [], color="0.3", lw=1.0, ls=(0, (2, 1.5)), label="training"),
        ]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(len(handles), 6), frameon=False
        )
