"""A fleet without workers, its page served on a real port, and somebody who looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import get_browser
import pytest
from chromium import FLAGS, Reader, reader
from example_rows import fill
from page_client import Serve, Visitor
from playwright.sync_api import Browser, sync_playwright

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.options import Options
from fitfleet.dashboard.serve import Dashboard
from fitfleet.db.session import Database
from fitfleet.settings import Settings


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on a fresh database; its broker is away."""
    settings = Settings(
        database_url=sqlite_url,
        broker_url="redis://127.0.0.1:1/0",
        storage=str(tmp_path / "storage"),
        logs=str(tmp_path / "logs"),
    )
    fleet = Fleet(settings, Database(sqlite_url))
    yield fleet
    fleet.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a fleet with these options, until the test's end."""
    open_pages: list[Dashboard] = []

    def start(fleet: Fleet, **options: Any) -> Dashboard:
        options.setdefault("port", 0)
        page = Dashboard(fleet, Options(**options)).start()
        open_pages.append(page)
        return page

    yield start
    for page in open_pages:
        page.stop()


@pytest.fixture
def page(serve: Serve, fleet: Fleet) -> Dashboard:
    """Its page with the usual options."""
    return serve(fleet)


@pytest.fixture
def visitor(page: Dashboard) -> Visitor:
    """Somebody who has signed in."""
    signed_in = Visitor(page.address)
    assert signed_in.sign_in(page.url).status == 200
    return signed_in


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a process."""
    path = get_browser.find()
    assert path is not None, get_browser.SENTENCE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def filled(fleet: Fleet) -> dict[str, Any]:
    """The fleet with an experiment of every kind of job."""
    return fill(fleet.database)


@pytest.fixture
def read(browser: Browser, page: Dashboard, filled: dict[str, Any]) -> Iterator[Reader]:
    """Somebody who has opened the page of that fleet."""
    with reader(browser, page.url, page.address) as opened:
        yield opened
