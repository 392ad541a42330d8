"""How long each migration keeps a fleet from writing: PostgreSQL with a million jobs.

    python benchmarks/migrations.py [--jobs 1000000]

A database of the first revision is filled and copied. On one copy each migration runs by itself, in
a transaction of its own, on the other `Database.upgrade` runs them all, while a client updates a
job and reads one, each in its own transaction, over and over. What it waited longest for is
printed, and compared with a second.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "migration")]

from alembic.migration import MigrationContext  # noqa: E402
from alembic.operations import Operations  # noqa: E402
from store import restore  # noqa: E402
from support.servers import Postgres  # noqa: E402

from fitfleet.db.migrations import indexes  # noqa: E402
from fitfleet.db.migrations.revisions import MIGRATIONS  # noqa: E402
from fitfleet.db.schema import views  # noqa: E402
from fitfleet.db.session import Database  # noqa: E402

_LIMIT_S = 1.0
_FILL = [
    "INSERT INTO experiments (id, name, created_at, is_paused)"
    " SELECT 100 + i, 'e' || i, 0, false FROM generate_series(1, 100) i",
    "INSERT INTO jobs (id, experiment_id, content_hash, group_hash, rerun, params, seed, queue,"
    " priority, status, dispatch_seq, not_before, submitted_at, attempt, seconds, epochs, epoch,"
    " failures, max_failures, memory_step, finished_at, fuse_key)"
    " SELECT 100 + i, 101 + mod(i, 100), md5(i::text), md5((i / 5)::text), 0, '{{\"units\": 32}}',"
    " mod(i, 5), 'cpu', 0, CASE WHEN mod(i, 2) = 0 THEN 'QUEUED' ELSE 'SUCCEEDED' END, 1, 0, 0, 1,"
    " 1.5, 5, 5, 0, 3, 0, i, md5((i / 50)::text) FROM generate_series(1, {jobs}) i",
    "INSERT INTO job_specs (job_id, spec, options) SELECT id, repeat('x', 1600), '{{}}' FROM jobs"
    " WHERE id > 100",
    "INSERT INTO attempts (job_id, attempt, worker, started_at, ended_at, outcome)"
    " SELECT id, 1, 'host:1:' || mod(id, 8), 1, 2, 'succeeded' FROM jobs WHERE id > 100",
]


def fill(database: Database, jobs: int) -> None:
    """Rows made by the server itself, in tables of the first revision."""
    restore(database, "0001")
    for statement in _FILL:
        with database.begin() as c:
            c.exec_driver_sql(statement.format(jobs=jobs))
    with database.engine.connect() as c:
        c.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
    database.dispose()


class Client:
    """Updates a job and reads one until `stop`; the longest that it waited for an answer."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.longest_s = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            began = time.perf_counter()
            with self.database.begin() as c:
                c.exec_driver_sql("UPDATE jobs SET priority = 1 - priority WHERE id = 200")
                c.exec_driver_sql("SELECT status FROM jobs WHERE id = 300")
            self.longest_s = max(self.longest_s, time.perf_counter() - began)
            time.sleep(0.002)


@contextmanager
def watched(url: str) -> Iterator[Client]:
    """A client at work beside what is measured."""
    client = Client(url)
    thread = threading.Thread(target=client.run)
    thread.start()
    time.sleep(0.2)
    client.longest_s = 0.0
    try:
        yield client
    finally:
        client.stop.set()
        thread.join()
        client.database.dispose()


def one_by_one(database: Database) -> Iterator[tuple[str, Callable[[], None]]]:
    """(what it is, its work) of each migration after the first, then of the indexes."""
    names = sorted(path.name for path in (MIGRATIONS / "versions").iterdir())
    with database.begin() as c:
        views.drop(c)
    for name in names:
        if name.startswith("v") and not name.startswith("v0001"):
            module = importlib.import_module(
                f"fitfleet.db.migrations.versions.{name.removesuffix('.py')}"
            )

            def work(module: object = module) -> None:
                with database.begin() as c, Operations.context(MigrationContext.configure(c)):
                    module.upgrade()  # type: ignore[attr-defined]

            yield name.removesuffix(".py"), work
    yield "indexes", lambda: indexes.build(database.engine)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    options = parser.parse_args()
    server, slow = Postgres(), 0
    try:
        server.start()
        name = server.create_database()
        fill(Database(server.url(name)), options.jobs)
        server.execute(f"CREATE DATABASE copied TEMPLATE {name}")
        print(f"{'longest wait, ms':>16}{'all, s':>9}  {options.jobs:,} jobs")
        singly, whole = Database(server.url(name)), Database(server.url("copied"))
        parts = [(singly, *part) for part in one_by_one(singly)]
        parts.append((whole, "fitfleet db upgrade, from 0001", whole.upgrade))
        for database, what, work in parts:
            with watched(database.url.render_as_string(hide_password=False)) as client:
                began = time.perf_counter()
                work()
                took_s = time.perf_counter() - began
            slow += client.longest_s > _LIMIT_S
            print(f"{client.longest_s * 1e3:16.0f}{took_s:9.2f}  {what}", flush=True)
        singly.dispose()
        whole.dispose()
    finally:
        server.remove()
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
