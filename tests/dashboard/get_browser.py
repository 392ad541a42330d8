"""A Chromium for the tests of the dashboard: one that is installed, else one that is fetched.

    python tests/dashboard/get_browser.py

Prints its path; one sentence and exit code 1 where none can be had. `make test` runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "FITFLEET_TEST_BROWSER"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_FETCH_S = 600.0
SENTENCE = (
    "The tests of the dashboard need a Chromium, and none could be had: install one (on Debian"
    f" `apt-get install chromium`), or name it by {VARIABLE}=/path/to/chromium."
)


def find() -> Path | None:
    """An installed one; None if there is none."""
    for path in _candidates():
        if path.is_file() and os.access(path, os.X_OK):
            return path
    return None


def _candidates() -> Iterator[Path]:
    if os.environ.get(VARIABLE):
        yield Path(os.environ[VARIABLE])
    yield from (Path(path) for name in _NAMES if (path := shutil.which(name)))
    yield _MAC
    yield from _playwrights()


def _playwrights() -> Iterator[Path]:
    """Where `playwright install` puts its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield Path(playwright.chromium.executable_path)


def fetch() -> None:
    """By Playwright, else by apt-get where it may be used."""
    if _runs(sys.executable, "-m", "playwright", "install", "chromium") and find():
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        _runs("apt-get", "update")
        _runs("apt-get", "install", "-y", "chromium")


def _runs(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_FETCH_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def main() -> int:
    """Find or fetch."""
    if find() is None:
        fetch()
    path = find()
    print(path or SENTENCE, file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


if __name__ == "__main__":
    raise SystemExit(main())
