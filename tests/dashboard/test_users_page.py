"""Users and groups, as an admin looks at them."""

from __future__ import annotations

import re

import pytest
from chromium import reader
from example_rows import fill
from page_client import Visitor
from playwright.sync_api import Browser, expect
from support.rows import insert, new_job, register, take

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.serve import Dashboard
from fitfleet.db.accounts import groups, users
from fitfleet.db.actor import Actor, Scope, acting
from fitfleet.db.pages import users as tables
from fitfleet.db.session import Database


def _submit(database: Database, user: str, count: int) -> None:
    with acting(Actor(user, Scope.SUBMIT, "1")):
        insert(database, *(new_job(f"{user}-{i}", experiment=user) for i in range(count)))


@pytest.fixture
def shared(fleet: Fleet) -> Fleet:
    """Two groups with jobs, of which one has used up its quota, and one without."""
    share(fleet.database)
    return fleet


def share(database: Database) -> None:
    """The rows of it."""
    fill(database, count=6)  # by the user of this process
    with database.begin() as c:
        groups.set_group(c, "vision", shares=3, max_running=2)
        groups.set_group(c, "speech", shares=1)
        groups.set_group(c, "idle", shares=5)
        users.set_quota(c, "ana", max_running=8, gpu_hours=10)
        groups.set_share(c, "ana", group="vision", shares=2.0)
        groups.set_share(c, "bob", group="speech")
    register(database, 3)
    _submit(database, "ana", 3)
    take(database, 2)
    _submit(database, "bob", 4)


def test_users_and_groups_are_counted_alike_on_both_databases(database: Database) -> None:
    share(database)
    with database.read() as c:
        by_group = {group.name: group for group in tables.group_holders(c)}
        by_user = {user.name: user for user in tables.user_holders(c)}
    in_all = sum(user.waiting for user in by_user.values())
    assert sum(group.waiting for group in by_group.values()) == in_all == 2 + 3 + 4
    assert by_user["bob"].waiting == by_group["speech"].waiting == 4
    assert (by_user["ana"].shares, by_user["ana"].group) == (2.0, "vision")
    assert list(by_group) == ["idle", "speech", "vision", "default"]
    mine = by_user[database.actor.user]  # without a row of its own
    assert (mine.group, mine.shares, mine.max_running) == ("default", 1.0, None)
    assert by_group["default"].in_flight == mine.in_flight > 0
    assert by_group["idle"].waiting == 0 == by_group["idle"].slots


def test_without_users_it_says_what_to_do(visitor: Visitor) -> None:
    answer = visitor.get("/users")
    assert answer.status == 200
    assert "fitfleet group set NAME" in answer.text and "fitfleet user set NAME" in answer.text


def test_the_page_of_users_is_read_by_anyone_with_any_screen(
    browser: Browser, page: Dashboard, shared: Fleet
) -> None:
    for scheme, width in (("light", 380), ("dark", 1300)):
        view = {"width": width, "height": 900}
        with reader(browser, page.url, page.address, color_scheme=scheme, viewport=view) as read:
            link = read.page.get_by_role("link", name="Users")
            link.focus()
            read.page.keyboard.press("Enter")
            vision = read.page.locator("#users tr", has_text="vision").first
            expect(vision).to_contain_text("of 2")
            assert read.violations() == [] and read.overflow() <= 0, scheme
            with shared.database.begin() as c:
                groups.set_group(c, "vision", shares=width)
            expect(vision).to_contain_text(re.compile(rf"\b{width}\b"), timeout=10_000)
