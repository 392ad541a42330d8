"""Controls that a reader of the page has: options of the curves, colours, pages, draining."""

from __future__ import annotations

import re
from typing import Any

from chromium import Reader
from page_client import Visitor
from playwright.sync_api import expect
from sqlalchemy import update
from support.rows import insert_many, register
from support.waiting import until

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.serve import Dashboard
from fitfleet.db.schema.tables import workers

TABLE = "/experiment?name=digits"
_HIDE = """state => {
    Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_curves_are_drawn_as_they_are_asked_for(read: Reader) -> None:
    page = read.page
    read.open(TABLE)
    names = page.locator("#curves .names li")
    expect(names).to_have_count(10)
    page.get_by_label("mean and 95 % band").check()
    expect(names).to_have_count(5)
    expect(names.first).to_contain_text("mean of 2")
    page.get_by_label("log", exact=True).check()
    page.get_by_label("Smoothing").fill("0.6")
    page.locator("select[name=x]").select_option("seconds")
    expect(page).to_have_url(re.compile("x=seconds.*log=1.*smooth=0.6.*band=1"))
    expect(page.locator("#curves canvas")).to_have_count(1)
    page.reload()
    expect(page.get_by_label("log", exact=True)).to_be_checked()
    expect(names).to_have_count(5)


def test_a_curve_is_named_where_the_pointer_is(read: Reader) -> None:
    read.open(f"{TABLE}&sel=3")
    over = read.page.locator("#curves .u-over")
    box = over.bounding_box()
    assert box is not None
    read.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = read.page.locator("#curves .tip")
    steps = iter(range(1, 40))
    while not tip.is_visible():  # down the middle until it is near the curve
        read.page.mouse.move(
            box["x"] + box["width"] / 2, box["y"] + next(steps) * box["height"] / 40
        )
    expect(tip).to_have_text(re.compile(r"optimizer=\w+, rate=0.01, units=16: \S+ at \d"))


def test_colours_are_chosen_and_remembered(read: Reader) -> None:
    button = read.page.locator("#theme")
    shown = "getComputedStyle(document.body).backgroundColor"
    button.click()
    light = read.page.evaluate(shown)
    button.click()
    expect(button).to_have_attribute("aria-label", "Colours: dark")
    dark = read.page.evaluate(shown)
    assert dark != light
    read.page.reload()
    assert read.page.evaluate(shown) == dark


def test_a_long_table_has_pages(read: Reader, fleet: Fleet) -> None:
    insert_many(fleet.database, 60, experiment="long")
    read.open("/experiment?name=long&sort=job")
    expect(read.page.locator("#jobs tbody tr")).to_have_count(50)
    read.page.get_by_role("link", name="Next").click()
    expect(read.page.locator("#jobs tbody tr")).to_have_count(10)
    expect(read.page).to_have_url(re.compile("page=2"))
    expect(read.page.locator(".pager")).to_contain_text("page 2 of 2")


def test_a_worker_is_drained_by_its_button(read: Reader, fleet: Fleet) -> None:
    read.page.on("dialog", lambda dialog: dialog.accept())
    read.open("/")
    rows = read.page.get_by_role("region", name="Workers").locator("tbody tr")
    expect(rows).to_have_count(2)
    rows.first.get_by_role("button", name="Drain").click()
    expect(rows.first.get_by_role("button")).to_have_count(0)
    assert all(slot["is_draining"] for slot in _slots(fleet))


def _slots(fleet: Fleet) -> list[dict[str, Any]]:
    with fleet.database.read() as c:
        return [dict(row._mapping) for row in c.execute(workers.select())]


def test_what_is_wrong_with_a_worker_is_seen(visitor: Visitor, fleet: Fleet) -> None:
    register(fleet.database, 2)
    load = '{"cpu_percent": 12, "memory_bytes": 3e9, "gpu_percent": 97, "gpu_memory_bytes": 5e9}'
    with fleet.database.begin() as c:
        c.execute(update(workers).values(load=load, device="gpu 0"))
        first = update(workers).where(workers.c.slot == 0)
        c.execute(first.values(heartbeat_at=workers.c.heartbeat_at - 100))
        c.execute(first.values(versions='{"fitfleet": "0.0.1"}'))
    shown = visitor.get("/").text
    assert shown.count("unresponsive") == 1 == shown.count("another version")
    assert shown.count("12 %") == 2 == shown.count("97 %")


def test_a_hidden_tab_reads_nothing(read: Reader, page: Dashboard) -> None:
    read.open(TABLE)
    assert page.board.live._listeners
    read.page.evaluate(_HIDE, "hidden")
    until(lambda: not page.board.live._listeners)
    read.page.evaluate(_HIDE, "visible")
    until(lambda: bool(page.board.live._listeners))
    read.page.wait_for_selector("#stream[data-state=live]")
