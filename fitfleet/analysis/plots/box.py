"""Box plot over repeats and folds: the spread of each configuration, with every run as a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fitfleet.analysis.plots import canvas
from fitfleet.errors import FitfleetError


def plot_box(
    groups: Mapping[str, Sequence[float]], objective: str, path: canvas.Target, *, title: str
) -> Any:
    """Draw {configuration: values of its runs}, in the order given."""
    drawn = {label: list(values) for label, values in groups.items() if len(values)}
    if not drawn:
        raise FitfleetError("no finished run to plot yet")
    if canvas.is_interactive(path):
        return canvas.save(_interactive(drawn, objective, title), path)
    return canvas.still(lambda: _still(drawn, objective, title), path)


def _is_horizontal(groups: Mapping[str, Sequence[float]]) -> bool:
    """Whether the labels are too long for vertical boxes."""
    return max(map(len, groups)) > 14 or len(groups) > 8


def _explained(groups: Mapping[str, Sequence[float]]) -> str:
    counts = sorted({len(values) for values in groups.values()})
    runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{runs} runs each; line: median, box: quartiles, points: runs"


def _still(groups: Mapping[str, Sequence[float]], objective: str, title: str) -> Any:
    is_horizontal = _is_horizontal(groups)
    size = (8.2, 1.9 + 0.55 * len(groups)) if is_horizontal else (2.4 + 1.5 * len(groups), 5.2)
    figure = canvas.figure(max(size[0], 6.0), size[1], title)
    panel = figure.subplots()
    labels = list(groups)[::-1] if is_horizontal else list(groups)
    panel.boxplot(
        [groups[label] for label in labels],
        tick_labels=[canvas.cut(label, 60) for label in labels],
        orientation="horizontal" if is_horizontal else "vertical",
        widths=0.5,
        showfliers=False,
        medianprops={"color": canvas.BEST, "linewidth": 2},
        boxprops={"color": "#333333"},
    )
    for position, label in enumerate(labels, 1):
        spread = [position + 0.16 * (((i * 7) % 5) - 2) / 2 for i in range(len(groups[label]))]
        xy = (groups[label], spread) if is_horizontal else (spread, groups[label])
        panel.scatter(*xy, s=20, color=canvas.colour(0), alpha=0.65, zorder=3, linewidths=0)
    if is_horizontal:
        panel.set_xlabel(canvas.unit(objective))
    else:
        panel.set_ylabel(canvas.unit(objective))
    figure.supxlabel(_explained(groups), fontsize=9, color=canvas.GREY)
    canvas.style_axes(panel)
    return figure


def _interactive(groups: Mapping[str, Sequence[float]], objective: str, title: str) -> Any:
    objects = canvas.plotly()
    figure = objects.Figure()
    is_horizontal = _is_horizontal(groups)
    for index, (label, values) in enumerate(groups.items()):
        figure.add_box(
            **{"x" if is_horizontal else "y": list(values)},
            name=canvas.html(label),
            orientation="h" if is_horizontal else "v",
            boxpoints="all",
            jitter=0.3,
            pointpos=0,
            marker={"color": canvas.colour(index)},
            showlegend=False,
        )
    figure.update_layout(
        **canvas.page(title, _explained(groups)),
        height=max(480, 160 + 40 * len(groups)),
    )
    if is_horizontal:
        figure.update_yaxes(autorange="reversed", automargin=True)
        figure.update_xaxes(title_text=canvas.html(canvas.unit(objective)))
    else:
        figure.update_yaxes(title_text=canvas.html(canvas.unit(objective)))
    return figure
