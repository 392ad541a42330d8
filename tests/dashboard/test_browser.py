"""The page in a real Chromium: what a reader does, and what he sees of it."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
from chromium import Reader, reader
from example_rows import EPOCHS, train
from playwright.sync_api import Browser, expect
from support.rows import insert, new_job, status

import fitfleet as ff
from fitfleet.client.fleet import Fleet
from fitfleet.client.logs import log_path
from fitfleet.dashboard.serve import Dashboard
from fitfleet.states import JobStatus

TABLE = "/experiment?name=digits"


def test_the_table_is_sorted_filtered_and_searched_and_its_address_says_so(read: Reader) -> None:
    page = read.page
    read.open(TABLE)
    best_first = [int(text) for text in read.rows(2)]
    assert best_first[0] == 1
    page.get_by_role("link", name="units").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text(re.compile("units"))
    units = [int(text) for text in read.rows(6) if text]
    assert units == sorted(units)
    expect(page).to_have_url(re.compile("sort=param.units"))
    page.get_by_label("Search the parameters").fill("optimizer=sgd")
    expect(page.locator("#jobs tbody tr")).to_have_count(12)
    expect(page).to_have_url(re.compile("q=optimizer"))
    page.reload()
    expect(page.locator("#jobs tbody tr")).to_have_count(12)
    page.locator("summary", has_text="Status").click()
    page.get_by_label("failed").check()
    expect(page.locator("#jobs tbody tr")).to_have_count(1)
    page.get_by_label("Search the parameters").fill("nothing like this")
    expect(page.get_by_text("No job is like that.")).to_be_visible()


def test_a_click_during_a_refresh_is_not_lost(read: Reader) -> None:
    page = read.page
    held: list[Any] = []
    read.open(TABLE)

    def hold_the_first(route: Any) -> None:
        if held:
            route.continue_()
        held.append(route)

    page.route("**/part/table*", hold_the_first)
    page.evaluate("() => { htmx.trigger('#state', 'fitfleet:read'); }")
    page.wait_for_timeout(300)
    assert len(held) == 1
    page.get_by_role("link", name="units").click()
    held[0].continue_()
    expect(page.locator("th[aria-sort=ascending]", has_text="units")).to_be_visible()
    expect(page).to_have_url(re.compile("sort=param.units"))


def test_a_selection_during_a_refresh_stays_in_the_address(read: Reader) -> None:
    page = read.page
    held: list[Any] = []
    read.open(TABLE)
    page.route("**/part/table*", lambda route: held.append(route))
    page.evaluate("() => { htmx.trigger('#state', 'fitfleet:read'); }")
    page.wait_for_timeout(300)
    assert len(held) == 1
    page.locator("#jobs tbody input").first.check()
    expect(page).to_have_url(re.compile("sel=1"))
    page.evaluate("document.querySelector('#jobs tbody').id = 'before'")
    held[0].continue_()
    expect(page.locator("#before")).to_have_count(0)
    expect(page).to_have_url(re.compile("metric=.*sel=1"))
    expect(page.locator("#jobs tbody tr[data-selected]")).to_have_count(1)


def test_columns_are_chosen_and_remembered(read: Reader) -> None:
    page = read.page
    read.open(TABLE)
    assert "fixed" not in page.locator("#jobs thead").inner_text()
    page.locator("summary", has_text="Columns").click()
    page.get_by_label("fixed", exact=True).check()
    expect(page.locator("#jobs thead")).to_have_text(re.compile("fixed"))
    read.open(TABLE)
    expect(page.locator("#jobs thead th")).to_have_count(3)


def test_a_range_on_an_axis_filters_the_table(read: Reader) -> None:
    page = read.page
    read.open(TABLE)
    page.get_by_role("tab", name="Parallel").click()
    axis = page.get_by_label("Range of units")
    box = axis.bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] * 0.4, steps=4)
    page.mouse.up()
    expect(page.locator("#jobs tbody tr")).to_have_count(12)
    assert {int(text) for text in read.rows(6)} == {24, 32}
    # By keyboard the same: the axis moves, and Escape lets go of it.
    axis.focus()
    axis.press("Escape")
    expect(page.locator("#jobs tbody tr")).to_have_count(24)
    axis.press("Enter")
    expect(page.locator("#jobs tbody tr")).to_have_count(12)


def test_jobs_are_chosen_and_compared_by_keyboard_alone(read: Reader) -> None:
    page = read.page
    read.open(TABLE)
    page.locator("#jobs tbody input").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.locator("#selected-count")).to_have_text("2 selected")
    expect(page).to_have_url(re.compile("sel="))
    page.get_by_role("button", name="Compare").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/compare"))
    expect(page.get_by_role("heading", name="2 jobs")).to_be_visible()
    expect(page.locator(".compare tbody").first).to_contain_text("Metrics")
    expect(page.locator("#compare-curves canvas")).to_have_count(1)


def test_one_or_many_are_cancelled_retried_tagged_and_moved(
    read: Reader, fleet: Fleet, filled: dict[str, Any]
) -> None:
    page = read.page
    first, second = filled["waiting"][:2]
    page.on("dialog", lambda dialog: dialog.accept())
    read.open(f"{TABLE}&sel={first},{second}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#said")).to_have_text(re.compile("2 jobs cancelled"))
    assert status(fleet.database, first) is JobStatus.CANCELLED
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#said")).to_have_text(re.compile("2 jobs queued again"))
    assert status(fleet.database, second) is JobStatus.QUEUED
    page.locator("summary", has_text="More").click()
    page.get_by_role("spinbutton", name="Priority").fill("7")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#said")).to_have_text(re.compile("2 jobs have priority 7"))
    page.get_by_role("textbox", name="Tags").fill("good")
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.locator("#said")).to_have_text(re.compile("2 jobs tagged"))
    changed = fleet.job(first)
    assert (changed.row.priority, changed.labels.tags) == (7, ("good",))
    page.get_by_label("Search the parameters").fill("#good")
    expect(page.locator("#jobs tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#standing")).to_have_text(re.compile("paused"))


def test_an_epoch_comes_to_an_open_page(read: Reader, fleet: Fleet, filled: dict[str, Any]) -> None:
    claim = filled["running"]
    read.open(f"/job/{claim.job_id}")
    expect(read.page.locator("#job")).to_contain_text(f"2 of {EPOCHS}")
    train(fleet.database, claim, 3, 3)
    expect(read.page.locator("#job")).to_contain_text(f"3 of {EPOCHS}")


def test_a_log_is_followed_in_colour_and_without_control(
    read: Reader, fleet: Fleet, filled: dict[str, Any]
) -> None:
    claim = filled["running"]
    path = log_path(fleet.settings, claim.job_id, 1)
    path.parent.mkdir(parents=True)
    path.write_text("first line\n")
    read.open(f"/job/{claim.job_id}")
    log = read.page.locator("#log")
    expect(log).to_have_text("first line\n")
    with path.open("a") as file:
        file.write("\x1b[31mred <b>line</b>\x1b[0m\x1b]0;title\x07\x07\n")
    expect(log).to_have_text("first line\nred <b>line</b>\n")
    expect(log.locator(".ansi-red")).to_have_text("red <b>line</b>")


def test_why_a_job_waits_is_on_its_page(read: Reader, filled: dict[str, Any]) -> None:
    read.open(f"/job/{filled['waiting'][1]}")
    why = read.page.locator(".why")
    expect(why).to_contain_text("waits for the broker")
    expect(why).to_contain_text("is number 2 in its queue")


def test_an_error_comes_first_and_its_traceback_behind_a_click(
    read: Reader, filled: dict[str, Any]
) -> None:
    read.open(f"/job/{filled['failed']}")
    error = read.page.locator(".error")
    expect(error).to_contain_text("the evaluator raised")
    expect(error.locator("pre")).to_be_hidden()
    error.get_by_text("Traceback").click()
    expect(error.locator("pre")).to_have_text("ValueError: no")


def test_names_are_text_and_nothing_else(browser: Browser, page: Dashboard, fleet: Fleet) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    name = "<script>alert(2)</script>"
    params = {evil: evil, "{{ 7*7 }}": "${7*7}"}
    (job_id,) = insert(fleet.database, new_job("a", experiment=name, params=params))
    insert(fleet.database, new_job("b", experiment=name, params={evil: "other"}))
    fleet.job(job_id).tag("<b>bold")
    with reader(browser, page.url, page.address) as read:
        opened: list[str] = []
        read.page.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss()))
        read.page.get_by_role("link", name=name).first.click()
        expect(read.page.get_by_role("heading", name=name)).to_be_visible()
        for tab in ("Parallel", "Scatter", "Groups"):
            read.page.get_by_role("tab", name=tab).click()
        read.open(f"/job/{job_id}")
        expect(read.page.locator("#job")).to_contain_text(evil)
        read.open(f"/compare?jobs={job_id},{job_id + 1}")
        expect(read.page.locator("#main")).to_contain_text("${7*7}")
        assert not opened and read.page.locator("main script, main img").count() == 0


def test_a_stream_that_breaks_says_so_and_comes_back(
    read: Reader, page: Dashboard, fleet: Fleet, filled: dict[str, Any]
) -> None:
    claim = filled["running"]
    read.open(f"/job/{claim.job_id}")
    state = read.page.locator("#stream")
    page.board.live.close()
    expect(state).to_have_attribute("data-state", "broken", timeout=20_000)
    train(fleet.database, claim, 3, 3)
    page.board.live.is_closed = False
    expect(state).to_have_attribute("data-state", "live", timeout=20_000)
    expect(read.page.locator("#job")).to_contain_text(f"3 of {EPOCHS}")


def test_tabs_share_one_stream(read: Reader, page: Dashboard) -> None:
    read.open(TABLE)
    second = read.page.context.new_page()
    second.goto(read.address)
    second.wait_for_selector("#stream[data-state=live]")
    assert len(page.board.live._listeners) == 1
    second.close()


def test_every_page_fits_and_is_accessible(
    browser: Browser, page: Dashboard, fleet: Fleet, filled: dict[str, Any]
) -> None:
    ids = filled["ids"]
    paths = ["/", TABLE, *(f"{TABLE}&panel={name}" for name in ("parallel", "scatter", "groups"))]
    paths += [f"/job/{ids[0]}", f"/job/{filled['failed']}", f"/job/{filled['waiting'][0]}"]
    paths += [f"/compare?jobs={ids[0]},{ids[2]},{ids[4]}", "/experiment?name=nowhere"]
    for scheme, width in (("light", 380), ("dark", 1300)):
        view = {"width": width, "height": 900}
        with reader(browser, page.url, page.address, color_scheme=scheme, viewport=view) as read:
            for path in paths:
                read.open(path)
                read.page.wait_for_timeout(150)
                assert read.violations() == [], (path, scheme)
                assert read.overflow() <= 0, (path, width)
            read.wrong[:] = [problem for problem in read.wrong if "404" not in problem]


def test_an_empty_fleet_says_what_to_do(browser: Browser, page: Dashboard) -> None:
    with reader(browser, page.url, page.address) as read:
        for text in ("No jobs yet", "No worker is running", "fitfleet worker"):
            expect(read.page.get_by_text(text).first).to_be_visible()
        assert read.violations() == []


def test_a_database_that_goes_away_is_reported_and_comes_back(
    read: Reader, fleet: Fleet, tmp_path: Path
) -> None:
    read.open(TABLE)
    hidden = tmp_path.with_name(f"{tmp_path.name}-away")
    banner = read.page.locator("#banner")
    tmp_path.rename(hidden)
    fleet.database.dispose()
    expect(banner).to_contain_text("The database has been away since", timeout=30_000)
    expect(read.page.locator("#jobs tbody tr")).to_have_count(24)
    hidden.rename(tmp_path)
    expect(banner).to_be_hidden(timeout=30_000)
    read.wrong[:] = [problem for problem in read.wrong if "503" not in problem]


def test_a_sweep_is_watched_to_its_end(browser: Browser, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.random((64, 4)), y=rng.random((64, 1)))
    with ff.local(workers=1, directory=tmp_path / "fleet", dashboard=True) as fleet:
        view = fleet.dashboard()
        sweep = fleet.sweep(
            model=ff.Sequential(
                [ff.layers.Input((4,)), ff.layers.Dense(ff.choice([2, 3])), ff.layers.Dense(1)]
            ),
            dataset=str(tmp_path / "data.npz"),
            optimizer="sgd",
            loss="mse",
            epochs=3,
            validation_split=0.25,
            search="grid",
            objective="val_loss",
            experiment="watched",
        )
        with reader(browser, view.url, view.page.address) as read:
            driver = threading.Thread(target=sweep.run)
            driver.start()
            # The fleet's page is not loaded again: the stream brings the sweep and the jobs.
            read.page.get_by_role("link", name="watched").first.click(timeout=60_000)
            succeeded = read.page.locator("#jobs .s-succeeded")
            expect(succeeded).to_have_count(2, timeout=120_000)
            expect(read.page.locator("#curves canvas")).to_have_count(1, timeout=30_000)
            read.open("/sweep?name=watched")
            expect(read.page.locator("#sweep h1 + .status")).to_have_text("ended", timeout=30_000)
            page = read.page.locator("#sweep")
            expect(page).to_contain_text("2 complete")
            expect(page).to_contain_text("Search\ngrid", use_inner_text=True)
            assert "nan" not in page.inner_text() and "{" not in page.inner_text()
            assert read.violations() == []
            driver.join(30)
