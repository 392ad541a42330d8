"""How much of the objective's variation each parameter explains, as Optuna computes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fitfleet.analysis.plots import canvas
from fitfleet.errors import FitfleetError


def plot_importance(
    shares: Mapping[str, float], objective: str, path: canvas.Target, *, title: str
) -> Any:
    """Draw {parameter: share} as bars, the largest on top."""
    if not shares:
        raise FitfleetError("no importance to plot yet: at least two complete trials are needed")
    ordered = sorted(shares.items(), key=lambda pair: pair[1])
    if canvas.is_interactive(path):
        return canvas.save(_interactive(ordered, objective, title), path)
    return canvas.still(lambda: _still(ordered, objective, title), path)


def _axis_title(objective: str) -> str:
    return f"share of the variation of {canvas.unit(objective)} (fANOVA)"


def _still(ordered: list[tuple[str, float]], objective: str, title: str) -> Any:
    figure = canvas.figure(7.6, 1.4 + 0.5 * len(ordered), title)
    panel = figure.subplots()
    names = [canvas.short(name) for name, _ in ordered]
    bars = panel.barh(names, [share for _, share in ordered], color=canvas.colour(0), height=0.62)
    panel.bar_label(bars, [f"{share:.0%}" for _, share in ordered], padding=4, fontsize=10)
    panel.set_xlim(0, max(share for _, share in ordered) * 1.14 + 1e-9)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.set_xlabel(_axis_title(objective))
    canvas.style_axes(panel)
    panel.grid(axis="y", visible=False)
    return figure


def _interactive(ordered: list[tuple[str, float]], objective: str, title: str) -> Any:
    objects = canvas.plotly()
    figure = objects.Figure(
        objects.Bar(
            x=[share for _, share in ordered],
            y=[canvas.html(canvas.short(name)) for name, _ in ordered],
            orientation="h",
            text=[f"{share:.0%}" for _, share in ordered],
            textposition="outside",
            cliponaxis=False,
            marker={"color": canvas.colour(0)},
        )
    )
    figure.update_layout(**canvas.page(title, margin={"l": 160, "r": 60, "t": 80, "b": 70}))
    figure.update_xaxes(
        title_text=canvas.html(_axis_title(objective), 80), tickformat=".0%", rangemode="tozero"
    )
    return figure
