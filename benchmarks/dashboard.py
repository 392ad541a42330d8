"""The page over a large database, in a real Chromium: what a reader waits for, and what it costs.

python -m benchmarks.dashboard                        # 10,000 jobs of 100 epochs in SQLite
python -m benchmarks.dashboard --postgresql
python -m benchmarks.dashboard --experiments 50 --jobs 1500
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from playwright.sync_api import Page, sync_playwright

from fitfleet.db.session import Database

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / f) for f in ("benchmarks", "tests", "tests/dashboard")]

import get_browser  # noqa: E402
from _large_database import LONG, fill  # noqa: E402
from chromium import FLAGS  # noqa: E402
from page_client import Visitor  # noqa: E402

PASSWORD = "of the benchmark"


@contextmanager
def served(database_url: str, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`fitfleet dashboard` as a process: its address and itself."""
    secret = folder / "password"
    secret.write_text(PASSWORD)
    command = [sys.executable, "-m", "fitfleet", "dashboard", "--port", "0", "--no-browser"]
    command += ["--password-file", str(secret), "--database-url", database_url]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        link = next(line for line in process.stderr if line.startswith("dashboard: "))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield link.removeprefix("dashboard: ").partition("sign-in")[0], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def median_ms(measure: Callable[[], float], times: int = 5) -> float:
    """Of a few, in milliseconds."""
    return 1000 * statistics.median(measure() for _ in range(times))


class Reading:
    """A browser on the page, and the largest answer it got."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.largest = (0, "")
        page.on("requestfinished", self._weigh)
        page.goto(f"{address}sign-in")
        page.fill("#token", PASSWORD)
        page.click("button.primary")
        page.wait_for_selector("#stream[data-state=live]")

    def _weigh(self, request: Any) -> None:
        if "/static/" not in request.url and "/events" not in request.url:
            size = request.sizes()["responseBodySize"]
            self.largest = max(self.largest, (size, request.url.partition("?")[0]))

    def open(self, path: str) -> float:
        """Seconds to the first content."""
        self.page.goto(self.address + path)
        paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
        # The page forbids what Playwright's waiting for a function would do.
        while not (painted_ms := float(self.page.evaluate(paint))):
            self.page.wait_for_timeout(20)
        return painted_ms / 1000

    def swap(self, act: str) -> float:
        """Seconds from an act of the reader until the table has changed."""
        script = f"""new Promise(done => {{
            const began = performance.now();
            document.body.addEventListener("htmx:afterSettle", function told(event) {{
                if (event.detail.target.id !== "table") return;
                document.body.removeEventListener("htmx:afterSettle", told);
                done(performance.now() - began);
            }});
            {act}
        }})"""
        return float(self.page.evaluate(script)) / 1000

    def drawn(self, path: str) -> tuple[float, float]:
        """(seconds of the last draw, seconds until all curves are there)."""
        began = time.monotonic()
        self.page.goto(self.address + path)
        self.page.locator("#curves canvas").wait_for(timeout=240_000)
        last = -1.0
        while True:
            drawn_ms = float(
                self.page.evaluate(
                    "performance.getEntriesByName('fitfleet:draw').at(-1)?.startTime ?? 0"
                )
            )
            if drawn_ms == last:
                break
            last = drawn_ms
            took = time.monotonic() - began
            self.page.wait_for_timeout(2500)
        each = "performance.getEntriesByName('fitfleet:draw').at(-1).duration"
        return float(self.page.evaluate(each)) / 1000, took


def epoch_delay(database: Database, reading: Reading) -> float:
    """Seconds from the commit of an epoch until the page of the job shows it."""
    with database.begin() as c:
        c.exec_driver_sql("UPDATE jobs SET status = 'RUNNING', epochs = 200 WHERE id = 1")
    reading.open("job/1")
    reading.page.wait_for_selector("#stream[data-state=live]")
    time.sleep(1.5)
    epochs = iter(range(101, 200))

    def once() -> float:
        epoch = next(epochs)
        with database.begin() as c:
            c.exec_driver_sql(f"UPDATE jobs SET epoch = {epoch} WHERE id = 1")
        began = time.monotonic()
        reading.page.locator("#job", has_text=f"{epoch} of 200").wait_for()
        return time.monotonic() - began

    return median_ms(once)


def cost_of_pages(
    address: str,
    server: psutil.Process,
    database: Database,
    postgres: psutil.Process | None,
    pages: int,
    seconds: float,
) -> tuple[float, float]:
    """(% of a core of the database, of the server) while so many pages hear of one epoch a second.

    SQLite has no process of its own: there the first figure is the server's.
    """
    measured = postgres or server
    stop = threading.Event()
    threads = [
        threading.Thread(target=_page, args=(visitor, stop), daemon=True)
        for visitor in signed_in(address, pages)
    ]
    for thread in threads:
        thread.start()
    time.sleep(3)
    before = _seconds(measured), _seconds(server), time.monotonic()
    for epoch in range(110, 110 + int(seconds)):
        with database.begin() as c:
            c.exec_driver_sql(f"UPDATE jobs SET epoch = {epoch % 200} WHERE id = 1")
        time.sleep(1)
    took = time.monotonic() - before[2]
    used_s = _seconds(measured) - before[0], _seconds(server) - before[1]
    stop.set()
    return 100 * used_s[0] / took, 100 * used_s[1] / took


def signed_in(address: str, count: int) -> list[Visitor]:
    """Visitors with a session each. RuntimeError where one is refused: its pages would be empty."""
    visitors = [Visitor(address) for _ in range(count)]
    for visitor in visitors:
        if (answer := visitor.post("/sign-in", token=PASSWORD)).status != 200:
            raise RuntimeError(f"/sign-in: {answer.status}")
    return visitors


def events(visitor: Visitor, stop: threading.Event) -> Iterator[bytes]:
    """The lines of its stream, and of the next one when that ends, as in a browser."""
    while not stop.is_set():
        connection = http.client.HTTPConnection(urlsplit(visitor.address).netloc, timeout=30)
        connection.request("GET", "/events", headers={"Cookie": visitor.cookie})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"/events: {answer.status} {answer.reason}")
        while not stop.is_set() and (line := answer.readline()):
            yield line
        connection.close()


def _page(visitor: Visitor, stop: threading.Event) -> None:
    """What an open page asks for: the stream, and when the experiment has changed its table, which
    jobs are the best, and what is new of their curves.
    """
    for line in events(visitor, stop):
        if b'"experiment-1"' in line:
            visitor.get("/part/table?name=large-0")
            best = visitor.get("/data/chosen?name=large-0").json["jobs"]
            known = ",".join(f"{job['id']}:100" for job in best)
            visitor.get(f"/data/curves?metric=val_loss&jobs={known}")


def _seconds(process: psutil.Process) -> float:
    """CPU time of it and its children."""
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            times = each.cpu_times()
            # A backend that has ended counts as one of its parent's children.
            total += times.user + times.system + times.children_user + times.children_system
    return total


def measure(
    database_url: str,
    folder: Path,
    arguments: argparse.Namespace,
    postgres: psutil.Process | None = None,
) -> None:
    """Fill, look, print."""
    database = Database(database_url)
    began = time.monotonic()
    fill(database, arguments.experiments, arguments.jobs, arguments.epochs)
    print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
    browser_path = get_browser.find()
    assert browser_path is not None, get_browser.SENTENCE
    with served(database_url, folder) as (address, server), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        reading = Reading(browser.new_page(viewport={"width": 1300, "height": 900}), address)
        _say("first content, fleet", median_ms(lambda: reading.open("")))
        table = "experiment?name=large-0"
        _say("first content, experiment", median_ms(lambda: reading.open(table)))
        for name in ("units", "learning_rate", "val_loss", "seconds"):
            click = "[...document.querySelectorAll('#jobs thead a')].find(a => a.textContent.trim()"
            click += f".startsWith({name!r})).click()"
            _say(f"sort by {name}", median_ms(lambda act=click: reading.swap(act)))
        words = iter(["units=32", "adam", "0.3", "sgd", "units=64"])
        typed = "const q = document.getElementById('q'); q.value = {!r};"
        typed += " htmx.trigger('#state', 'fitfleet:read');"
        _say("search", median_ms(lambda: reading.swap(typed.format(next(words)))))
        for name in ("parallel", "scatter", "groups"):
            _say(
                f"first content, {name}",
                median_ms(lambda n=name: reading.open(f"{table}&panel={n}"), 3),
            )
        reading.page.wait_for_timeout(1500)
        draw, all_there = reading.drawn(f"experiment?name={LONG}&best=100")
        _say("draw 100 curves of 1,000 epochs", 1000 * draw)
        _say("  all of them there", 1000 * all_there)
        draw, all_there = reading.drawn("experiment?name=wide&best=1000")
        _say("draw 1,000 curves", 1000 * draw)
        _say("  all of them there", 1000 * all_there)
        _say("an epoch on the page after its commit", epoch_delay(database, reading))
        size, where = reading.largest
        print(f"{'largest answer, compressed':42} {size / 1000:8.1f} kB  {where}")
        browser.close()
        used, all_used = cost_of_pages(address, server, database, postgres, 50, 15.0)
        print(f"{'50 open pages, the database':42} {used:8.1f} % of a core")
        print(f"{'50 open pages, the server':42} {all_used:8.1f} % of a core")


def _say(what: str, milliseconds: float) -> None:
    print(f"{what:42} {milliseconds:8.0f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--postgresql", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.postgresql:
            measure(f"sqlite:///{folder}/fleet.db", Path(folder), arguments)
            return
        from support.servers import Postgres

        server = Postgres()
        try:
            server.start()
            server.execute("CREATE DATABASE fleet")
            assert server.process is not None
            postgres = psutil.Process(server.process.pid)
            measure(server.url("fleet"), Path(folder), arguments, postgres)
        finally:
            server.remove()


if __name__ == "__main__":
    main()
