"""Takes the pictures of docs/images/dashboard-*.png: `make pictures`, about two minutes.

A fleet of two workers trains the jobs of the demo and a sweep; while more jobs run and wait, each
page is opened in a Chromium.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "examples"), str(ROOT / "tests" / "dashboard")]

import get_browser  # noqa: E402
import sweep_digits  # noqa: E402

import demo  # noqa: E402
import fitfleet as ff  # noqa: E402

IMAGES = Path(__file__).parent / "images"
COLOURS = 128
SIZE = {"width": 1500, "height": 720}


def main() -> None:
    """Train, then look."""
    path = get_browser.find()
    assert path is not None, get_browser.SENTENCE
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        demo.write_digits(folder / "digits.h5")
        trusted = str(ROOT / "examples")
        with ff.local(2, folder / "fleet", module_path=(trusted,), dashboard=True) as fleet:
            first = demo.submit(fleet, folder / "digits.h5", epochs=20)
            fleet.wait(first)
            fleet.sweep(**sweep_digits.arguments(folder, trials=16, repeats=1)).run()
            running = _keep_busy(fleet, folder)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path)
                page = browser.new_page(viewport=SIZE)
                page.goto(fleet.dashboard().url)
                _look(page, [job.id for job in first])
            for job in running:
                job.cancel()


def _keep_busy(fleet: ff.Fleet, folder: Path) -> list[ff.Job]:
    """Jobs that run and jobs that wait, each for a reason of its own."""
    job = {
        "model": ff.Sequential(
            [ff.layers.Input((8, 8)), ff.layers.LSTM(64), ff.layers.Dense(10, "softmax")]
        ),
        "dataset": str(folder / "digits.h5"),
        "optimizer": "adam",
        "loss": "categorical_crossentropy",
        "epochs": 500,
        "fuse": False,
    }
    running = fleet.submit_many({**job, "seed": seed, "experiment": "later"} for seed in range(6))
    fleet.submit_many({**job, "epochs": 5, "seed": s, "experiment": "paused"} for s in range(3))
    fleet.pause("paused")
    while sum((job.refresh().row.epoch or 0) > 20 for job in running) < 2:
        time.sleep(0.2)
    return running


def _look(page: Page, jobs: list[int]) -> None:
    url = urlsplit(page.url)
    base = f"{url.scheme}://{url.netloc}"
    numbers = ",".join(str(job) for job in jobs[:3])
    for name, path in (
        ("fleet", "/"),
        ("experiment", "/experiment?name=digits"),
        ("compare", f"/compare?jobs={numbers}"),
        ("job", f"/job/{jobs[0]}"),
        ("sweep", "/sweep?name=digits-tpe"),
    ):
        page.goto(base + path)
        page.wait_for_selector("#stream[data-state=live]")
        page.wait_for_timeout(1500)  # the curves are drawn after the tables
        _keep(page.screenshot(), IMAGES / f"dashboard-{name}.png")


def _keep(picture: bytes, path: Path) -> None:
    """With fewer colours, which text and lines do not miss, in a third of the bytes."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1000} KB")


if __name__ == "__main__":
    main()
