"""Routes of sweeps. A design is checked from the start here, as a sweep file is.

A step is taken by the server, as the token's user, with the driver that scripts have; it holds
nothing that the database does not, so that any server, script or scheduler takes the next one.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from fitfleet.analysis.results import Results
from fitfleet.api.requests import Document, TooLargeError
from fitfleet.client.display.progress_snapshot import take
from fitfleet.client.fleet import Fleet
from fitfleet.client.remote import json_forms
from fitfleet.db.accounts import access
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.db.sweeps.lineage import of_sweep
from fitfleet.db.sweeps.sweeps import SweepRow
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.design.documents import check_paths, received
from fitfleet.sweeps.driving.driver import Driver
from fitfleet.sweeps.driving.sweep_rows import find_sweep, open_sweep
from fitfleet.sweeps.planning.plan import plan as make_plan

_MAX_DRIVERS = 8  # each holds what the jobs of its sweep have come to
MAX_JOBS = 100_000  # of results that are handed out at once


@dataclass
class _Held:
    """A driver, which one request uses at a time."""

    driver: Driver
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sweeps:
    """The sweeps of a fleet, with the drivers that were used last."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._held: OrderedDict[tuple[int, str], _Held] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def driver(self, row: SweepRow) -> Iterator[Driver]:
        """The driver of a sweep, for the `with` block."""
        key = (row.id, row.document)
        with self._lock:
            held = self._held.pop(key, None)
            if held is None:
                held = _Held(Driver(self.fleet.database, self.fleet.settings, row))
            self._held[key] = held
            if len(self._held) > _MAX_DRIVERS:
                self._held.popitem(last=False)
        with held.lock:
            yield held.driver

    def find(self, document: Document) -> SweepRow:
        """The sweep that a request names. NotFoundError."""
        return find_sweep(self.fleet.database, document.needed("sweep"))


def _about(row: SweepRow) -> dict[str, Any]:
    values = asdict(row)
    return {**values, "document": json.loads(row.document)}


def listed(sweeps: Sweeps, _: Document) -> Any:
    """Every sweep, the oldest first."""
    with sweeps.fleet.database.read() as c:
        return [_about(row) for row in sweep_table.listed(c)]


def find(sweeps: Sweeps, document: Document) -> Any:
    """One sweep."""
    return _about(sweeps.find(document))


def progress(sweeps: Sweeps, document: Document) -> Any:
    """The progress of a sweep."""
    row = sweeps.find(document)
    with sweeps.driver(row) as driver:
        driver.results.read(sweeps.fleet.database, row.id)
        return driver.progress()


def results(sweeps: Sweeps, document: Document) -> Any:
    """Trials, their jobs and the jobs' values. TooLargeError above MAX_JOBS."""
    row = sweeps.find(document)
    found = Results(Design.from_json(row.document).wanted)
    found.read(sweeps.fleet.database, row.id)
    return checked_results(found)


def checked_results(checked: Results) -> dict[str, Any]:
    """Results as a document. TooLargeError for more jobs than may be asked for at once."""
    count = sum(map(len, checked.replicates.values()))
    if count > MAX_JOBS:
        raise TooLargeError(f"there are {count:,} jobs; {MAX_JOBS:,} may be asked for at once")
    return json_forms.results_document(checked)


def lineage(sweeps: Sweeps, document: Document) -> Any:
    """Of population-based training, a row a member of a generation."""
    with sweeps.fleet.database.read() as c:
        return of_sweep(c, document.needed("sweep"))


def _design(document: Document) -> Design:
    return received(document.mapping("arguments"), document.several("imported"))


def plan(sweeps: Sweeps, document: Document) -> Any:
    """What a sweep would run; nothing is queued."""
    settings = sweeps.fleet.settings.replace(data_root_only=True)
    return make_plan(sweeps.fleet.database, settings, _design(document))


def create(sweeps: Sweeps, document: Document) -> Any:
    """Write a sweep down, or find it. SearchError if its name is another design's."""
    return _about(open_sweep(sweeps.fleet.database, _design(document)))


def step(sweeps: Sweeps, document: Document) -> Any:
    """Bring a sweep one step forward; its progress, and on request the state of its jobs."""
    row, fleet = sweeps.find(document), sweeps.fleet
    check_paths(Design.from_json(row.document))
    with fleet.database.read() as c:
        access.check_experiment(c, "sweep", row.experiment)
    with sweeps.driver(row) as driver:
        stands = driver.step()
        lines = list(driver.warnings)
        driver.warnings.clear()
        unserved = fleet.notices.unserved(driver.queues) if driver.queues else {}
        driver.queues.clear()
        snapshot = None
        if document.truth("is_shown"):
            snapshot = take(fleet.database, driver.job_ids(), fleet.settings.lease_s)
        has_all_points = driver.has_all_points(stands) or not driver.is_listed
    return {
        "progress": stands,
        "warnings": lines,
        "unserved": unserved,
        "snapshot": snapshot,
        "is_asked": has_all_points,
    }


Work = Callable[[Sweeps, Document], Any]
GET: dict[str, Work] = {"sweeps": listed}
READ: dict[str, Work] = {
    "sweeps/find": find,
    "sweeps/progress": progress,
    "sweeps/results": results,
    "sweeps/lineage": lineage,
}
# With what bounds how many are at work at once; a plan has Keras build models in processes.
CHANGE: list[tuple[str, Work, str]] = [
    ("sweeps", create, "stepping"),
    ("sweeps/plan", plan, "submitting"),
    ("sweeps/step", step, "stepping"),
]
