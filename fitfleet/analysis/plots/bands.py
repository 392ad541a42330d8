"""Learning curves of trials: the mean over repeats and folds with its 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.plots import canvas
from fitfleet.errors import FitfleetError

if TYPE_CHECKING:
    import pandas as pd


def plot_bands(
    curves: pd.DataFrame,
    labels: Mapping[int, str],
    metric: str,
    path: canvas.Target,
    *,
    title: str,
) -> Any:
    """Draw curves (`trial`, `phase`, `epoch`, `n`, `mean`, `low`, `high`) into `path`.

    Validation is solid with a band, training dashed; the band is missing for a single job.
    """
    if not len(curves):
        raise FitfleetError("no curves to plot: no job has finished an epoch")
    if canvas.is_interactive(path):
        return canvas.save(_interactive(curves, labels, metric, title), path)
    return canvas.still(lambda: _still(curves, labels, metric, title), path)


def _series(curves: pd.DataFrame) -> list[tuple[int, int, str, pd.DataFrame]]:
    """(position, trial, phase, rows), in the order of the trials given."""
    trials = list(dict.fromkeys(int(t) for t in curves["trial"]))
    series = []
    for position, trial in enumerate(trials):
        for phase in ("train", "val"):
            rows = curves[(curves["trial"] == trial) & (curves["phase"] == phase)]
            if len(rows):
                series.append((position, trial, phase, rows))
    return series


def _still(curves: pd.DataFrame, labels: Mapping[int, str], metric: str, title: str) -> Any:
    from matplotlib.ticker import MaxNLocator

    columns = 2 if max(map(len, labels.values()), default=0) < 44 else 1
    lines = -(-len(labels) // columns)
    figure = canvas.figure(8.6, 4.8 + 0.2 * lines, title)
    panel = figure.subplots()
    has_validation = bool((curves["phase"] == "val").any())
    for position, trial, phase, rows in _series(curves):
        shade = canvas.colour(position)
        is_main = phase == "val" or not has_validation
        marker = "o" if len(rows) < 3 else None
        panel.plot(
            rows["epoch"],
            rows["mean"],
            color=shade,
            lw=2.0 if is_main else 1.0,
            ls="-" if is_main else (0, (3, 2)),
            marker=marker,
            label=canvas.cut(labels[trial], 80) if is_main else None,
        )
        if is_main and (rows["n"] > 1).any():
            panel.fill_between(
                rows["epoch"], rows["low"], rows["high"], color=shade, alpha=0.18, lw=0
            )
    panel.set_ylim(*_range(curves))
    panel.set_xlabel("epoch")
    panel.set_ylabel(canvas.unit(metric.removeprefix("val_")))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    canvas.style_axes(panel)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9,
                title="trial: parameters", title_fontsize=9)  # fmt: skip
    panel.set_title(_explained(curves, has_validation), fontsize=9, color=canvas.GREY)
    return figure


def _range(curves: pd.DataFrame) -> tuple[float, float]:
    """Around the means: the interval of two runs may be far wider than all that was seen."""
    low, high = float(curves["mean"].min()), float(curves["mean"].max())
    room = 0.35 * (high - low) or 0.1 * abs(high) or 1.0
    return (
        max(low - room, min(float(curves["low"].min()), low) - 0.05 * room),
        min(high + room, max(float(curves["high"].max()), high) + 0.05 * room),
    )


def _explained(curves: pd.DataFrame, has_validation: bool) -> str:
    max_runs = int(curves["n"].max())
    lines = "solid: validation, dashed: training" if has_validation else "training"
    band = f"; band: 95 % interval of the mean of {max_runs} runs" if max_runs > 1 else ""
    return lines + band


def _interactive(curves: pd.DataFrame, labels: Mapping[int, str], metric: str, title: str) -> Any:
    objects = canvas.plotly()
    figure = objects.Figure()
    has_validation = bool((curves["phase"] == "val").any())
    for position, trial, phase, rows in _series(curves):
        shade = canvas.colour(position)
        is_main = phase == "val" or not has_validation
        group = {"legendgroup": str(trial)}
        if is_main and (rows["n"] > 1).any():
            figure.add_scatter(
                x=[*rows["epoch"], *rows["epoch"][::-1]],
                y=[*rows["high"], *rows["low"][::-1]],
                fill="toself",
                mode="lines",
                fillcolor=shade,
                opacity=0.18,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                **group,
            )
        figure.add_scatter(
            x=list(rows["epoch"]),
            y=list(rows["mean"]),
            mode="lines" if len(rows) > 2 else "lines+markers",
            name=canvas.html(labels[trial]),
            showlegend=is_main,
            line={
                "color": shade,
                "width": 2.5 if is_main else 1,
                "dash": None if is_main else "dash",
            },
            **group,
        )
    label = canvas.html(canvas.unit(metric.removeprefix("val_")))
    figure.update_layout(
        **canvas.page(title, _explained(curves, has_validation)),
        xaxis_title="epoch",
        yaxis={"title": {"text": label}, "range": list(_range(curves))},
        legend={"orientation": "h", "y": -0.18, "title": {"text": "trial: parameters  "}},
    )
    return figure
