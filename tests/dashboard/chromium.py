"""A real Chromium that looks at a page, and keeps what must not happen: errors, foreign hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Reader:
    """Somebody at a browser. `wrong` holds what the console and the network told."""

    page: Page
    address: str
    wrong: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go there, and wait until the stream lives."""
        self.page.goto(self.address.rstrip("/") + path)
        self.page.wait_for_selector("#stream[data-state=live]")

    def rows(self, column: int) -> list[str]:
        """The texts of a column of the table of jobs."""
        texts: list[str] = self.page.locator(
            f"#jobs tbody td:nth-child({column})"
        ).all_inner_texts()
        return texts

    def violations(self) -> list[str]:
        """What axe-core has against the page as it is."""
        violations: Any = self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.flatMap("
            "v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 200)} ${n.failureSummary}`)))"
        )
        return [str(violation) for violation in violations]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the screen."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )


@contextmanager
def reader(browser: Browser, link: str, address: str, **options: Any) -> Iterator[Reader]:
    """A fresh browser profile that signs in by the link; at its end nothing went wrong."""
    context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
    context.set_default_timeout(15_000)
    context.add_init_script(path=AXE)
    page = context.new_page()
    opened = Reader(page, address)
    page.on("pageerror", lambda error: opened.wrong.append(str(error)))
    page.on("console", lambda said: _hear(opened, said))
    page.on("request", lambda request: _look(opened, request.url))
    page.goto(link)
    page.wait_for_selector("#stream[data-state=live]")
    yield opened
    wrong = list(opened.wrong)
    context.close()
    if wrong:
        raise AssertionError("\n".join(wrong))


def _hear(reading: Reader, said: Any) -> None:
    if said.type in ("error", "warning"):
        reading.wrong.append(f"{said.type}: {said.text} {said.location.get('url', '')}")


def _look(reading: Reader, url: str) -> None:
    if urlsplit(url).netloc != urlsplit(reading.address).netloc and not url.startswith("data:"):
        reading.wrong.append(f"a request to {url}")
