"""The control plane alone: jobs that are placed, claimed and finished, but not fitted.

    python benchmarks/control_plane.py [--jobs 100 10000 100000] [--workers 200] [--run 3000]
    python benchmarks/control_plane.py --on postgresql --jobs 1000000 --workers 1000

First, what an idle scheduler uses of a core. Then, by the length of the backlog: jobs submitted a
second, one poll of the scheduler that dispatches 20 jobs, one claim, and the messages and memory of
the broker when a scheduler has placed all that it will for four slots. Then one scheduler against
so many simulated workers on PostgreSQL: jobs a second, and how much of a core the scheduler, the
database and the broker used.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import psutil
import redis
import sqlalchemy as sa
from support.rows import commit, insert, new_job, register, take
from support.servers import Postgres, Valkey

from fitfleet.db.attempts import leases, metrics
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.fleet import capacity
from fitfleet.db.reading import lookup
from fitfleet.db.scheduling import dispatch
from fitfleet.db.session import Database
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings
from fitfleet.states import JobStatus

_POLLS = 15
_PER_POLL = 20
_PER_SUBMIT = 100_000
# Connections of each of the four processes that simulate workers, however many these are.
_CONNECTIONS = 16
_IDLE_S = 5.0
_PLACING_S = 3.0


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def backlog(database: Database, count: int) -> dict[str, float]:
    """What submitting, placing and claiming cost with so many jobs in the queue."""
    submit_s = 0.0
    for start in range(0, count, _PER_SUBMIT):
        numbers = range(start, min(count, start + _PER_SUBMIT))
        rows = [new_job(f"{count}-{i}", experiment=f"e{i % 10}") for i in numbers]
        submit_s += _timed(lambda rows=rows: insert(database, *rows))[0]

    def poll() -> list[tuple[int, int]]:
        with database.read() as c:
            capacity.loads(c, 60.0, only_waiting=True)
        with database.begin() as c:
            return dispatch.dispatch(c, "cpu", _PER_POLL)

    polls, claims = [], []
    for _ in range(min(_POLLS, count // _PER_POLL)):
        spent, messages = _timed(poll)
        polls.append(spent)
        for message in messages:
            spent, claim = _timed(lambda message=message: _claim(database, message))
            claims.append(spent)
            with database.begin() as c:
                commit(c, claim, epoch=1, seconds=0.0)
    return {
        "jobs": count,
        "submits_per_s": round(count / submit_s),
        "look_ms": round(statistics.median(polls) * 1e3, 2),
        "dispatches_per_s": round(_PER_POLL / statistics.median(polls)),
        "claim_ms": round(statistics.median(claims) * 1e3, 2),
        "claim_p99_ms": round(sorted(claims)[int(len(claims) * 0.99)] * 1e3, 2),
    }


def broker_memory(database: Database, broker: Valkey) -> dict[str, float]:
    """What the broker holds of a backlog once the scheduler has placed what it will."""
    register(database, 4)  # again: filling the database may have taken longer than a lease
    url = database.url.render_as_string(hide_password=False)
    settings = Settings(database_url=url, broker_url=broker.url)
    client = broker.client()
    client.flushall()
    ended = threading.Event()
    thread = threading.Thread(target=Scheduler(settings, database).run, args=(ended,))
    thread.start()
    time.sleep(_PLACING_S)
    # Of its keys alone: the connections and buffers of this moment are larger.
    used_bytes = sum(client.memory_usage(key, samples=0) or 0 for key in client.scan_iter())
    messages = client.llen("cpu")
    ended.set()
    thread.join()
    client.flushall()
    client.close()
    return {"messages": messages, "broker_kb": round(used_bytes / 2**10, 1)}


def idle(url: str, broker_url: str) -> dict[str, Any]:
    """How much of a core a scheduler uses with nothing to do, and while jobs wait for a slot."""
    database = Database(url)
    database.upgrade()
    settings = Settings(database_url=url, broker_url=broker_url)
    shares = {"idle_cores": _scheduler_cores(settings, database)}
    register(database, 1)
    insert(database, *(new_job(str(i)) for i in range(200)))
    take(database)
    shares["busy_slots_cores"] = _scheduler_cores(settings, database)
    database.dispose()
    return shares


def _scheduler_cores(settings: Settings, database: Database) -> float:
    ended = threading.Event()
    thread = threading.Thread(target=Scheduler(settings, database).run, args=(ended,))
    thread.start()
    assert thread.ident is not None
    clock = time.pthread_getcpuclockid(thread.ident)
    time.sleep(1.0)
    before = time.clock_gettime(clock)
    time.sleep(_IDLE_S)
    spent_s = time.clock_gettime(clock) - before
    ended.set()
    thread.join()
    return round(spent_s / _IDLE_S, 4)


def _claim(database: Database, message: tuple[int, int]) -> leases.Claim | None:
    with database.begin() as c:
        return leases.claim(c, *message, "host:1:0", 60.0)


def simulate(url: str, broker_url: str, names: list[str], stop: Any) -> None:
    """Workers as threads of one process: each takes a message, claims, records, finishes."""
    database = Database(url)
    # Workers of one host share few connections: each is in use for a few milliseconds.
    database.engine = sa.create_engine(database.url, pool_size=_CONNECTIONS, max_overflow=0)
    threads = [threading.Thread(target=_work, args=(database, broker_url, n, stop)) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.dispose()


def _work(database: Database, broker_url: str, name: str, stop: Any) -> None:
    client = redis.Redis.from_url(broker_url)
    while not stop.is_set():
        popped: Any = client.brpop(["cpu"], timeout=1)
        if popped is None:
            continue
        arguments = json.loads(popped[1])["headers"]["argsrepr"]
        message = tuple(json.loads(arguments.replace("(", "[").replace(")", "]")))
        with database.begin() as c:
            claim = leases.claim(c, *message, name, 60.0)
        if claim is None:
            continue
        with database.begin() as c:
            metrics.record(c, [EpochMetrics(claim, 1, {"loss": 1.0, "val_loss": 1.0})])
        with database.begin() as c:
            commit(c, claim, epoch=1, seconds=0.0)
    client.close()


def _cpu_s(pid: int) -> float:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in family)


def _start_workers(database_url: str, broker_url: str, count: int, stop: Any) -> list[Any]:
    """Four processes that simulate so many workers until `stop` is set."""
    context = multiprocessing.get_context("spawn")
    names = [f"host:1:{i}" for i in range(count)]
    processes = [
        context.Process(target=simulate, args=(database_url, broker_url, names[i::4], stop))
        for i in range(4)
    ]
    for process in processes:
        process.start()
    return processes


def throughput(server: Postgres, broker: Valkey, workers: int, count: int) -> dict[str, float]:
    """Jobs a second of one scheduler and so many simulated workers."""
    name = server.create_database()
    database = Database(server.url(name))
    database.upgrade()
    register(database, workers)
    settings = Settings(database_url=server.url(name), broker_url=broker.url)
    insert(database, *(new_job(str(i), experiment=f"e{i % 10}") for i in range(count)))
    stop = multiprocessing.get_context("spawn").Event()
    processes = _start_workers(server.url(name), broker.url, workers, stop)
    time.sleep(3.0)  # their start is not measured
    assert server.process is not None and broker.process is not None
    pids = [server.process.pid, broker.process.pid, *(process.pid for process in processes)]
    before = [_cpu_s(pid) for pid in pids if pid] + [time.process_time()]
    start = time.perf_counter()
    ended = threading.Event()
    thread = threading.Thread(target=Scheduler(settings, database).run, args=(ended,))
    thread.start()
    max_bytes = 0
    client = broker.client()
    while True:
        time.sleep(0.1)
        max_bytes = max(max_bytes, int(client.info("memory")["used_memory"]))
        with database.read() as c:
            if lookup.count_jobs(c).get(JobStatus.SUCCEEDED, 0) == count:
                break
    wall_s = time.perf_counter() - start
    after = [_cpu_s(pid) for pid in pids if pid] + [time.process_time()]
    stop.set()
    ended.set()
    thread.join()
    for process in processes:
        process.join()
    client.close()
    database.dispose()
    used = [(b - a) / wall_s for a, b in zip(before, after, strict=True)]
    return {
        "workers": workers,
        "jobs_per_s": round(count / wall_s, 1),
        "database_cores": round(used[0], 2),
        "broker_cores": round(used[1], 2),
        "workers_cores": round(sum(used[2:-1]), 2),
        "scheduler_cores": round(used[-1], 2),
        "broker_max_mb": round(max_bytes / 2**20, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--run", type=int, default=3_000)
    parser.add_argument("--on", nargs="+", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    server = Postgres()

    def fresh(kind: str, name: str) -> str:
        if kind == "postgresql":
            return server.url(server.create_database())
        return f"sqlite:///{Path(folder) / name}.db"

    with tempfile.TemporaryDirectory() as folder:
        broker = Valkey(Path(folder))
        try:
            server.start()
            broker.start()
            for kind in options.on:
                figures = idle(fresh(kind, "idle"), broker.url)
                print(json.dumps({"database": kind, **figures}), flush=True)
                for count in options.jobs:
                    database = Database(fresh(kind, str(count)))
                    database.upgrade()
                    register(database, 4)
                    figures = {**backlog(database, count), **broker_memory(database, broker)}
                    print(json.dumps({"database": kind, **figures}), flush=True)
                    database.dispose()
            print(json.dumps(throughput(server, broker, options.workers, options.run)))
        finally:
            broker.stop()
            server.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
