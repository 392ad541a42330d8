"""What reads a large fleet: seconds and peak memory of each, on PostgreSQL.

    python benchmarks/large_reads.py [--jobs 100000] [--only compare ...]

So many succeeded jobs of one experiment (5 seeds a configuration, 2 epochs of 4 metrics) and as
many that wait in another. Each part runs in a process of its own; its memory is that above what the
process held before it began.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.rows import insert, new_job
from support.servers import Postgres
from views import fill

import fitfleet as ff
from fitfleet.db.session import Database
from fitfleet.settings import Settings

_EPOCHS = 2
_SUBMITTED = 5_000
_MORE = [
    "UPDATE jobs SET experiment_id = 1, fingerprint = NULL, group_hash = md5((id / 5)::text)"
    " || md5((id / 5)::text), content_hash = md5(id::text) || md5(id::text), params ="
    " '{{\"units\": ' || 1 + id / 5 || '}}', artifact_path = 'e1/' || id ||"
    " '/attempt-1.weights.h5', artifact_bytes = 1000",
    "DELETE FROM experiments WHERE id > 1",
    "INSERT INTO experiments (name, created_at, is_paused) VALUES ('waiting', 0, false)",
    "INSERT INTO jobs (experiment_id, content_hash, group_hash, rerun, params, seed, queue,"
    " priority, status, dispatch_seq, not_before, submitted_at, attempt, seconds, epochs, epoch,"
    " failures, max_failures, memory_step)"
    " SELECT (SELECT id FROM experiments WHERE name = 'waiting'), content_hash, group_hash, 0,"
    " params, seed, queue, 0, 'QUEUED', 0, 0, 0, 0, 0, {epochs}, 0, 0, 3, 0 FROM jobs",
]


def compare(fleet: ff.Fleet) -> Any:
    """`fitfleet compare --top 10`."""
    return fleet.compare("e1", top=10)


def ps(fleet: ff.Fleet) -> Any:
    """`fitfleet ps -e e1`: the newest 50 jobs, and their last values."""
    from fitfleet.db.reading import lookup

    jobs = fleet.jobs("e1", limit=50)
    with fleet.database.read() as c:
        return lookup.kept_points(c, [job.id for job in jobs])


def leaderboard(fleet: ff.Fleet) -> Any:
    """The ten best of the view, by one metric."""
    query = (
        "SELECT * FROM leaderboard WHERE experiment = 'e1' AND metric = 'loss' AND phase = 'val'"
        " ORDER BY rank_low LIMIT 10"
    )
    with fleet.database.read() as c:
        return c.exec_driver_sql(query).all()


def best(fleet: ff.Fleet) -> Any:
    """`fleet.best()`."""
    return fleet.best("e1").id


def rank(fleet: ff.Fleet) -> Any:
    """`fitfleet rank --top 10`."""
    return fleet.rank("e1", top=10)


def gc(fleet: ff.Fleet) -> Any:
    """`fitfleet gc --dry-run`."""
    from fitfleet.scheduler.retention import Policy, collect

    return sum(1 for _ in collect(fleet.database, fleet.settings, Policy(), is_dry=True))


def retention(fleet: ff.Fleet) -> Any:
    """The scheduler's hourly retention; nothing here is of a sweep."""
    from fitfleet.scheduler.maintenance import Retention

    return Retention(fleet.settings)(fleet.database)


def poll(fleet: ff.Fleet) -> Any:
    """One poll of `wait`, for all jobs that wait."""
    from fitfleet.client.wait import Pending

    pending = Pending(_waiting(fleet))

    def once() -> list[int]:
        with fleet.database.read() as c:
            pending.poll(c)
        return []

    return _once(once)


def watch(fleet: ff.Fleet) -> Any:
    """`fitfleet watch` up to its first picture."""

    class Seen(Exception):
        pass

    def draw(*_: Any) -> None:
        raise Seen

    from fitfleet.client.display.display import Display

    Display.draw = draw  # type: ignore[method-assign]
    try:
        fleet.follow(fleet.unfinished())
    except Seen:
        return True


def submit(fleet: ff.Fleet) -> Any:
    """`submit_many`, without the checks: rows of distinct jobs."""
    insert(fleet.database, *(new_job(f"n{i}", experiment="new") for i in range(_SUBMITTED)))
    return _SUBMITTED


_PARTS = (ps, compare, leaderboard, best, rank, gc, retention, poll, watch)
PARTS: dict[str, Callable[[ff.Fleet], Any]] = {part.__name__: part for part in _PARTS}


def _waiting(fleet: ff.Fleet) -> list[int]:
    with fleet.database.read() as c:
        return list(c.exec_driver_sql("SELECT id FROM jobs WHERE status = 'QUEUED'").scalars())


def _once(action: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = action()
    return {"seconds": time.perf_counter() - start, "found": len(result)}


def _peak_mb(kind: str = "VmHWM") -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{kind}:")[1].split()[0]) / 1024


def measure(name: str, url: str, storage: str) -> dict[str, Any]:
    """One part, in this process."""
    import pandas  # noqa: F401  (its import is not what is measured)
    import scipy.stats  # noqa: F401

    settings = Settings(database_url=url, storage=storage)
    fleet = ff.Fleet(settings, Database(url))
    with fleet.database.read() as c:
        c.exec_driver_sql("SELECT 1")
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _peak_mb("VmRSS"), time.perf_counter()
    cpu = time.process_time()
    answer = PARTS[name](fleet)
    seconds = time.perf_counter() - start
    if isinstance(answer, dict):
        seconds = answer["seconds"]
    cpu = time.process_time() - cpu
    peak = _peak_mb() - before
    return {"part": name, "s": round(seconds, 2), "cpu_s": round(cpu, 2), "mb": round(peak)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", choices=sorted(PARTS), default=list(PARTS))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child)))
        return
    server = Postgres()
    try:
        server.start()
        database = Database(server.url())
        database.upgrade()
        fill(database, options.jobs, _EPOCHS)
        for statement in _MORE:
            with database.begin() as c:
                c.exec_driver_sql(statement.format(epochs=_EPOCHS))
        with database.engine.connect() as c:
            c.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
        with tempfile.TemporaryDirectory() as storage:
            for name in options.only:
                command = [sys.executable, __file__, "--child", name, server.url(), storage]
                done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
                print(done.stdout.strip() or done.stderr[-800:], flush=True)
        database.dispose()
    finally:
        server.remove()


if __name__ == "__main__":
    main()
