"""Every picture is written, in both kinds, and shows what it should."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fitfleet as ff
from fitfleet.analysis.plots import canvas
from fitfleet.analysis.plots.parallel import plot_parallel
from fitfleet.errors import FitfleetError

KINDS = ["curves", "parallel_coordinates", "slice", "importance", "box", "timeline"]


def page(path: Path) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """The whole text of an HTML picture, its traces and its layout."""
    text = path.read_text(encoding="utf-8")
    call = text[text.rindex("Plotly.newPlot(") :]
    decoder = json.JSONDecoder()
    traces, end = decoder.raw_decode(call, call.index("["))
    layout, _ = decoder.raw_decode(call, call.index("{", end))
    return text, traces, layout


@pytest.mark.parametrize("kind", KINDS)
def test_a_still_picture_is_not_empty(finished: ff.Sweep, kind: str, tmp_path: Path) -> None:
    path = getattr(finished.plot, kind)(tmp_path / f"{kind}.png")
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert min(pixels.shape[:2]) > 250
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    border = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3)])
    assert (border == 255).all(), "something runs out of the picture"


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_works_offline_and_names_its_axes(
    finished: ff.Sweep, kind: str, tmp_path: Path
) -> None:
    text, traces, layout = page(getattr(finished.plot, kind)(tmp_path / f"{kind}.html"))
    assert traces and "seen" in layout["title"]["text"]
    assert not re.search(r"<(script|link)[^>]+(src|href)=\"https?:", text)
    if kind != "parallel_coordinates":
        titles = [v.get("title", {}).get("text") for k, v in layout.items() if "axis" in k]
        assert any(titles)


def test_curves_have_a_band_over_repeats(finished: ff.Sweep, tmp_path: Path) -> None:
    _, traces, layout = page(finished.plot.curves(tmp_path / "c.html", top=2))
    assert sum(trace.get("fill") == "toself" for trace in traces) == 2
    assert "95 % interval of the mean of 3 runs" in layout["title"]["text"]
    assert re.search(r", 2 of \d+ trials", layout["title"]["text"]), "the others are left out"


def test_parallel_coordinates_go_through_every_parameter(
    finished: ff.Sweep, tmp_path: Path
) -> None:
    _, traces, _ = page(finished.plot.parallel_coordinates(tmp_path / "p.html"))
    labels = [dimension["label"] for dimension in traces[0]["dimensions"]]
    assert labels == ["learning rate", "units", "val loss"] or labels == [
        "units",
        "learning rate",
        "val loss",
    ]


def test_a_slice_marks_the_best_and_takes_the_scale_of_the_space(
    finished: ff.Sweep, tmp_path: Path
) -> None:
    _, traces, layout = page(finished.plot.slice(tmp_path / "s.html"))
    stars = [trace for trace in traces if trace["marker"].get("symbol") == "star"]
    assert {trace["name"] for trace in stars} == {f"best: trial {finished.best_trial}"}
    axes = [layout[name] for name in ("xaxis", "xaxis2")]
    kinds = {axis["title"]["text"]: axis.get("type") for axis in axes}
    assert kinds == {"learning rate": "log", "units": None}
    shown = next(axis["ticktext"] for axis in axes if axis["title"]["text"] == "units")
    assert shown and set(shown) <= {"4", "8", "16"}


def draw_parallel(folder: Path, values: list[float], name: str = "a") -> list[dict[str, Any]]:
    trials = pd.DataFrame({"trial": range(len(values)), name: values, "val_loss": values})
    path = plot_parallel(trials, [name], "val_loss", "minimize", folder / "p.html", title="t",
                         logarithmic=["rate"])  # fmt: skip
    dimensions: list[dict[str, Any]] = page(path)[1][0]["dimensions"]
    return dimensions


def test_labels_of_an_axis_do_not_lie_on_each_other(tmp_path: Path) -> None:
    first = draw_parallel(tmp_path, [1.19, 2.21, 2.26, 2.27, 2.28])[0]
    assert first["ticktext"] == ["1.19", "2.21", "2.28"]
    assert draw_parallel(tmp_path, [1, 2, 3])[0]["ticktext"] == ["1", "2", "3"]


def test_a_logarithmic_space_has_a_logarithmic_axis(tmp_path: Path) -> None:
    assert draw_parallel(tmp_path, [0.001, 0.01, 0.1], "rate")[0]["values"] == [0, 0.5, 1]
    assert draw_parallel(tmp_path, [0.01, 0.02, 0.04], "rate")[0]["values"] == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [(1e-4, 1e-1, [1e-4, 1e-3, 1e-2, 1e-1]), (1e-3, 0.03, [0.001, 0.002, 0.005, 0.01, 0.02])],
)
def test_marks_of_a_logarithmic_axis(low: float, high: float, marks: list[float]) -> None:
    assert canvas.log_ticks(low, high) == pytest.approx(marks)


def test_marks_of_whole_numbers() -> None:
    assert canvas.whole_ticks([0, 3]) == [0, 1, 2, 3]
    assert canvas.whole_ticks([0, 39]) == [0, 8, 16, 24, 32]


def test_the_learning_rate_matters_most(finished: ff.Sweep, tmp_path: Path) -> None:
    _, traces, _ = page(finished.plot.importance(tmp_path / "i.html"))
    assert traces[0]["y"][-1] == "learning rate"


def test_the_timeline_has_every_attempt(finished: ff.Sweep, tmp_path: Path) -> None:
    _, traces, _ = page(finished.plot.timeline(tmp_path / "t.html"))
    assert {trace["name"] for trace in traces} == {"succeeded", "pruned"}
    started = [job for job in finished.jobs() if job.attempt]
    assert sum(len(trace["text"]) for trace in traces) == len(started)


def test_plots_reject_bad_arguments(finished: ff.Sweep, tmp_path: Path) -> None:
    with pytest.raises(FitfleetError, match=r"not one of \.png"):
        finished.plot.curves(tmp_path / "curves.jpeg2000")
    with pytest.raises(FitfleetError, match="this sweep, which has val_loss"):
        finished.plot.box(tmp_path / "box.png", objective="accuracy")
    with pytest.raises(FitfleetError, match="no curves to plot"):
        finished.plot.curves(tmp_path / "c.png", metric="val_nothing")
