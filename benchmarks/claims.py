"""What a claim costs in PostgreSQL itself, apart from waiting for a core and for the network.

usage: python benchmarks/claims.py [--jobs 20000] [--claims 2000] [--beside 8]

Claims from a queue of so many jobs, beside threads of two other processes that claim, record and
finish others. By the client's clock; the same without the time in which the client or its process
of the server was ready to run and had no core, as Linux counts it; and by the server's own clock
(`pg_stat_statements`): the mean time of each statement of a claim, and as an upper bound of the
slowest claim the sum of the longest of each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.rows import commit, insert, new_job, register
from support.servers import Postgres

from fitfleet.db.attempts import leases, metrics
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.scheduling import dispatch
from fitfleet.db.session import Database

_BATCH = 50
_PROCESSES = 2
_STATEMENTS = "SELECT queryid, calls, mean_exec_time, max_exec_time FROM pg_stat_statements"


def messages(database: Database, count: int) -> list[tuple[int, int]]:
    """Of jobs that are dispatched now."""
    with database.begin() as c:
        return dispatch.dispatch(c, "cpu", count)


def claim(database: Database, message: tuple[int, int]) -> leases.Claim:
    """One claim, of a job that nobody else has."""
    with database.begin() as c:
        taken = leases.claim(c, *message, "host:1:0", 600.0)
    assert taken is not None
    return taken


def finish(database: Database, taken: leases.Claim) -> None:
    """An epoch, and the end."""
    with database.begin() as c:
        metrics.record(c, [EpochMetrics(taken, 1, {"loss": 1.0})])
    with database.begin() as c:
        commit(c, taken, epoch=1, seconds=0.0)


def work(database: Database, stop: Any) -> None:
    """Like a worker that does not fit, until told to stop."""
    while not stop.is_set():
        for message in messages(database, 5):
            finish(database, claim(database, message))


def work_beside(url: str, count: int, stop: Any) -> None:
    """So many of them as threads of this process."""
    database = Database(url)
    threads = [threading.Thread(target=work, args=(database, stop)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.dispose()


class Used(NamedTuple):
    """What a thread, or a process of one, has had so far, in milliseconds."""

    cpu: float
    waited: float  # ready to run, without a core

    @classmethod
    def of(cls, place: str) -> Used:
        """Of `/proc/<place>/schedstat`."""
        cpu_ns, waited_ns, _ = Path("/proc", place, "schedstat").read_text().split()
        return cls(int(cpu_ns) / 1e6, int(waited_ns) / 1e6)


class Spent(NamedTuple):
    """A claim, in milliseconds."""

    wall: float
    waited: float  # of it, by client and server for a core
    client_cpu: float
    server_cpu: float


def timed_claim(database: Database, message: tuple[int, int], server: str) -> Spent:
    """One claim; `server` is the process of its connection."""
    here = f"self/task/{threading.get_native_id()}"
    client, backend = Used.of(here), Used.of(server)
    start = time.perf_counter()
    claim(database, message)
    wall = (time.perf_counter() - start) * 1e3
    client_after, backend_after = Used.of(here), Used.of(server)
    waited = client_after.waited - client.waited + backend_after.waited - backend.waited
    return Spent(
        wall, min(waited, wall), client_after.cpu - client.cpu, backend_after.cpu - backend.cpu
    )


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share is below."""
    return round(sorted(values)[int(len(values) * share)], 2)


def statements(database: Database) -> dict[int, tuple[float, float, float]]:
    """Statement -> (calls, mean ms, longest ms), by the server's clock since the last reset."""
    with database.read() as c:
        rows = c.exec_driver_sql(f"{_STATEMENTS} WHERE dbid = (SELECT oid FROM pg_database"
                                 " WHERE datname = current_database())").fetchall()  # fmt: skip
    return {row[0]: (float(row[1]), float(row[2]), float(row[3])) for row in rows}


def reset(database: Database) -> None:
    """Forget what was counted."""
    with database.begin() as c:
        c.exec_driver_sql("SELECT pg_stat_statements_reset()")


def measure(database: Database, claims: int, beside: int) -> dict[str, Any]:
    """All figures, in milliseconds."""
    (first,) = messages(database, 1)
    reset(database)
    claim(database, first)
    of_a_claim = statements(database)
    reset(database)
    stop, others = start_beside(database.url.render_as_string(hide_password=False), beside)
    spent: list[Spent] = []
    with database.read() as c:
        server = str(c.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
    while len(spent) < claims:
        spent += [timed_claim(database, each, server) for each in messages(database, _BATCH)]
    stop.set()
    for other in others:
        other.join()
    counted = [row for number, row in statements(database).items() if number in of_a_claim]
    mine = [row for row in counted if row[0] >= claims]
    running = [each.wall - each.waited for each in spent]
    return {
        "benchmark": "claims",
        "load": os.getloadavg()[0],
        "client_median_ms": percentile([each.wall for each in spent], 0.5),
        "client_p99_ms": percentile([each.wall for each in spent], 0.99),
        "without_waits_for_a_core_median_ms": percentile(running, 0.5),
        "without_waits_for_a_core_p99_ms": percentile(running, 0.99),
        "client_cpu_ms": round(statistics.mean(each.client_cpu for each in spent), 2),
        "server_cpu_ms": round(statistics.mean(each.server_cpu for each in spent), 2),
        "statements": len(mine),
        "server_mean_ms": round(sum(row[1] for row in mine), 3),
        "server_longest_ms": round(sum(row[2] for row in mine), 2),
    }


def start_beside(url: str, count: int) -> tuple[Any, list[Any]]:
    """(what stops them, the processes) of so many threads that claim too."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    shares = [len(range(i, count, _PROCESSES)) for i in range(_PROCESSES)]
    others = [context.Process(target=work_beside, args=(url, n, stop)) for n in shares]
    for other in others:
        other.start()
    return stop, others


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--claims", type=int, default=2_000)
    parser.add_argument("--beside", type=int, default=8)
    options = parser.parse_args()
    server = Postgres(shared_preload_libraries="pg_stat_statements")
    try:
        server.start()
        server.execute("CREATE EXTENSION pg_stat_statements")
        database = Database(server.url())
        database.upgrade()
        register(database, 4)
        insert(database, *(new_job(str(i), experiment=f"e{i % 10}") for i in range(options.jobs)))
        print(json.dumps(measure(database, options.claims, options.beside)))
        database.dispose()
    finally:
        server.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
