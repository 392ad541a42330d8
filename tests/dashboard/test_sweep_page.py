"""The page of a sweep: what it holds, on any screen, and as CSV; the page that asks to sign in."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from chromium import AXE, Reader, reader
from page_client import Visitor
from playwright.sync_api import Browser, expect
from support.simulated_worker import StandIn, arguments, write_data

import fitfleet as ff
from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.serve import Dashboard
from fitfleet.db.session import Database

SCREENS = pytest.mark.parametrize(
    ("scheme", "width"), [("light", 380), ("dark", 380), ("dark", 1300)]
)


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Fleet:
    """A fleet with a finished search of twelve trials; its broker is away."""
    settings = write_data(tmp_path).replace(
        database_url=sqlite_url,
        broker_url="redis://127.0.0.1:1/0",
        storage=str(tmp_path / "storage"),
        logs=str(tmp_path / "logs"),
    )
    fleet = Fleet(settings, Database(sqlite_url))
    rate = {"SGD": {"learning_rate": ff.choice([0.01, 0.03, 0.1, 0.3])}}
    sweep = fleet.sweep(**arguments(search="grid", trials=None, optimizer=rate)).submit()
    StandIn(fleet.database).work()
    sweep.run()
    return fleet


@SCREENS
def test_the_page_of_a_sweep_fits_and_is_accessible(
    browser: Browser, page: Dashboard, scheme: str, width: int
) -> None:
    view = {"width": width, "height": 900}
    with reader(browser, page.url, page.address, color_scheme=scheme, viewport=view) as read:
        read.open("/sweep?name=net")
        expect(read.page.locator("#sweep h1 + .status")).to_have_text("ended")
        meters = read.page.locator("meter")
        expect(meters).to_have_count(2, timeout=60_000)  # the importance of both parameters
        assert {m.get_attribute("aria-label") for m in meters.all()} == {
            "share of units",
            "share of optimizer.learning_rate",
        }
        values = [float(m.get_attribute("value") or "nan") for m in meters.all()]
        assert sum(values) == pytest.approx(1.0)
        assert read.violations() == [] and read.overflow() <= 0


def test_the_trials_are_downloaded_as_csv(visitor: Visitor, fleet: Fleet) -> None:
    answer = visitor.get("/csv/trials?name=net")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 12 and {row["state"] for row in rows} == {"complete"}
    expected = fleet.resume_sweep("net").trials()
    for row, wanted in zip(rows, expected.to_dict("records"), strict=True):
        assert float(row["val_loss"]) == pytest.approx(wanted["val_loss"])
        assert int(row["units"]) == wanted["units"]


@SCREENS
def test_the_page_that_asks_to_sign_in_fits_and_is_accessible(
    browser: Browser, page: Dashboard, scheme: str, width: int
) -> None:
    context = browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": 900},  # type: ignore[arg-type]
    )
    context.add_init_script(path=AXE)
    read = Reader(context.new_page(), page.address)
    read.page.goto(page.address)
    expect(read.page.locator("form")).to_be_visible()
    assert read.violations() == [] and read.overflow() <= 0
    context.close()
