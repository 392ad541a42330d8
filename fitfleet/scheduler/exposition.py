"""The fleet in Prometheus's text format, out of SQL: no count is kept in a process.

https://prometheus.io/docs/instrumenting/exposition_formats/. No label is a job or an experiment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping

from fitfleet.db.accounts import groups
from fitfleet.db.fleet import trace_cursor
from fitfleet.db.reading import gauges
from fitfleet.db.reading.gauges import Histogram
from fitfleet.db.session import Database
from fitfleet.errors import BrokerError, DatabaseError
from fitfleet.probes import Sample, family, number
from fitfleet.queue import celery_app, ping
from fitfleet.settings import Settings
from fitfleet.spec.versions import installed

# Seconds; the same for waits and runs, so that they can be set side by side.
BOUNDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
# A page is computed at most this often, however many clients read it.
_FRESH_S = 5.0


class Exposition:
    """The page of a scheduler. `polled_at` is when it last polled the queue, in Unix seconds."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._lock = threading.Lock()
        self._page, self._made_at = "", float("-inf")
        self.polled_at = 0.0

    def page(self) -> str:
        """The text; while the database is away only what is known without it."""
        with self._lock:
            if time.monotonic() - self._made_at > _FRESH_S:
                self._page = "".join(self._families())
                self._made_at = time.monotonic()
            return self._page

    def _families(self) -> Iterator[str]:
        yield family("fitfleet_build_info", "gauge", "The scheduler's version.",
                     [({"version": installed()}, 1.0)])  # fmt: skip
        yield family(
            "fitfleet_scheduler_last_look_timestamp_seconds",
            "gauge",
            "When this scheduler last looked at the queue.",
            [({}, self.polled_at)],
        )
        yield from self._broker()
        at = time.perf_counter()
        try:
            parts = list(self._of_database())
        except DatabaseError:
            parts = []
        yield family("fitfleet_database_up", "gauge", "Whether the database answers.",
                     [({}, float(bool(parts)))])  # fmt: skip
        yield family("fitfleet_database_seconds", "gauge", "How long these counts took.",
                     [({}, time.perf_counter() - at)])  # fmt: skip
        yield from parts

    def _broker(self) -> Iterator[str]:
        at, is_up = time.perf_counter(), 1.0
        try:
            ping(celery_app(self._settings))
        except BrokerError:
            is_up = 0.0
        seconds = time.perf_counter() - at
        yield family("fitfleet_broker_up", "gauge", "Whether the broker answers.", [({}, is_up)])
        yield family("fitfleet_broker_seconds", "gauge", "How long its answer took.",
                     [({}, seconds)])  # fmt: skip

    def _of_database(self) -> Iterator[str]:
        alive_s = self._settings.lease_s
        with self._database.read() as c:
            statuses = gauges.jobs_by_status(c)
            waiting = gauges.waiting_by_reason(c, alive_s)
            slots = gauges.slots_by_state(c, alive_s)
            outcomes = gauges.attempts_by_outcome(c)
            waits, runs = gauges.wait_seconds(c, BOUNDS), gauges.run_seconds(c, BOUNDS)
            hosts = gauges.host_loads(c, alive_s)
            of_groups = groups.listed(c)
            refused = trace_cursor.refused(c)
        yield family("fitfleet_jobs", "gauge", "Jobs by queue and status.",
                     _pairs("queue", "status", statuses))  # fmt: skip
        yield family("fitfleet_waiting_jobs", "gauge",
                     "Waiting jobs by what holds them: no_worker, labels, paused, backoff, quota,"
                     " slot.",
                     _pairs("queue", "reason", {k: v[0] for k, v in waiting.items()}))  # fmt: skip
        yield family("fitfleet_oldest_waiting_seconds", "gauge",
                     "Since the submission of the oldest waiting job.",
                     _pairs("queue", "reason", {k: v[1] for k, v in waiting.items()}))  # fmt: skip
        yield family("fitfleet_slots", "gauge",
                     "Worker slots by state: busy, free, draining, silent.",
                     _pairs("queue", "state", slots))  # fmt: skip
        # Groups are an admin's, so they are few.
        yield family("fitfleet_group_slots", "gauge", "Slots that the users of a group use.",
                     [({"group": group.name}, group.slots) for group in of_groups])  # fmt: skip
        yield family("fitfleet_group_shares", "gauge", "Shares of the slots that a group has.",
                     [({"group": group.name}, group.shares) for group in of_groups])  # fmt: skip
        yield family("fitfleet_attempts_total", "counter", "Ended attempts by outcome.",
                     [({"outcome": name}, n) for name, n in sorted(outcomes.items())])  # fmt: skip
        yield family("fitfleet_traces_refused_total", "counter",
                     "Jobs whose traces the receiver refuses for good.",
                     [({}, refused)])  # fmt: skip
        yield histogram("fitfleet_wait_seconds", "From submission to the first attempt.", waits)
        yield histogram("fitfleet_run_seconds", "Time of an attempt.", runs)
        for name, text in _LOADS.items():
            samples = [({"host": h.host}, h.values[name]) for h in hosts if name in h.values]
            yield family(f"fitfleet_host_{name}", "gauge", text, samples)


_LOADS = {
    "cpu_percent": "Load of the host's processors.",
    "memory_bytes": "Memory of its worker services with their children.",
    "gpu_percent": "Mean load of the GPUs that its workers use.",
    "gpu_memory_bytes": "Memory in use on them.",
}


def histogram(name: str, text: str, counted: Histogram) -> str:
    """Cumulative buckets, sum and count."""
    lines = [f"# HELP {name} {text}\n# TYPE {name} histogram\n"]
    for bound, count in zip(BOUNDS, counted.at_most, strict=True):
        lines.append(f'{name}_bucket{{le="{number(bound)}"}} {count}\n')
    lines.append(f'{name}_bucket{{le="+Inf"}} {counted.count}\n')
    lines.append(f"{name}_sum {number(counted.total)}\n{name}_count {counted.count}\n")
    return "".join(lines)


def _pairs(first: str, second: str, values: Mapping[tuple[str, str], float]) -> list[Sample]:
    return [({first: a, second: b}, value) for (a, b), value in sorted(values.items())]
