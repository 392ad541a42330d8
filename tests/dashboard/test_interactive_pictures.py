"""Pictures of sweeps as a browser lays them out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser

from fitfleet.analysis.plots.parallel import plot_parallel


@pytest.mark.slow
def test_titles_of_parallel_axes_are_below_the_title_of_the_picture(
    browser: Browser, tmp_path: Path
) -> None:
    names = ["learning rate", "units"]
    trials = pd.DataFrame({"trial": [0, 1, 2], names[0]: [0.1, 0.2, 0.3], names[1]: [8, 16, 32]})
    trials["val_loss"] = [3.0, 2.0, 1.0]
    path = plot_parallel(
        trials, names, "val_loss", "minimize", tmp_path / "p.html", title="digits", logarithmic=[]
    )
    page = browser.new_page(viewport={"width": 900, "height": 600})
    page.goto(path.as_uri())
    title = page.locator(".gtitle").bounding_box()
    axes = page.locator(".axis-title").all()
    boxes = [axis.bounding_box() for axis in axes]
    page.close()
    assert title is not None and len(boxes) == 3
    assert all(box is not None and box["y"] > title["y"] + title["height"] for box in boxes)
