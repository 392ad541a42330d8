"""The learning-curve picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fitfleet.analysis.plots.curves import plot_curves
from fitfleet.errors import FitfleetError

HISTORY = pd.DataFrame(
    {"epoch": [1, 2, 3], "loss": [2.0, 1.0, 0.5], "accuracy": [0.2, 0.5, 0.8]}
).assign(val_loss=[2.1, 1.2, 0.9], val_accuracy=[0.2, 0.4, 0.7])


def test_a_picture_with_a_panel_a_metric_is_written(tmp_path: Path) -> None:
    path = plot_curves({"a": HISTORY, "b": HISTORY}, tmp_path / "new" / "curves.png")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    assert width > 2 * height


def test_labels_and_units_are_in_the_picture(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        text = plot_curves({"32 units": HISTORY}, tmp_path / "curves.svg").read_text()
    for shown in ("32 units", "epoch", "loss", "accuracy", "validation", "training"):
        assert f">{shown}<" in text


def test_nothing_to_draw_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FitfleetError, match="no curves to plot"):
        plot_curves({"a": HISTORY.head(0)}, tmp_path / "curves.png")


def test_an_unknown_suffix_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FitfleetError, match=r"curves\.xyz: the suffix is not one of"):
        plot_curves({"a": HISTORY}, tmp_path / "curves.xyz")


def test_a_picture_says_that_jobs_are_left_out(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        given = {"a": HISTORY, "b": HISTORY, "not begun": HISTORY.head(0)}
        text = plot_curves(given, tmp_path / "curves.svg", title="notes").read_text()
    assert ">notes, 2 of 3 jobs<" in text and "not begun" not in text
