"""How long a host takes from `fitfleet join URL` to its first claim, and what it computes for that.

usage: python benchmarks/host_join.py [--repeats 5] [--limit 5]

A real PostgreSQL, Valkey, API and scheduler; a job waits before the host joins. By the clock, and
in CPU seconds of the joining processes up to the claim, which do not depend on what else runs. As
a lower bound the CPU seconds of a process that only imports what fits, TensorFlow and Keras.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from latency import job, write_data
from support.servers import Postgres, Valkey

import fitfleet as ff
from fitfleet.api.serve import ApiServer, Options
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Scope
from fitfleet.db.session import Database
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings
from fitfleet.states import JobStatus

_IMPORTS = (
    "from fitfleet.settings import Settings; from fitfleet.worker.process.tasks import _preload;"
    " _preload(Settings())"
)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its descendants."""
    process = psutil.Process(pid)
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def imports_cpu_s() -> float:
    """CPU seconds of the imports alone."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def joined(fleet: ff.Fleet, url: str, token: str, waiting: ff.Job) -> tuple[float, float]:
    """(seconds, CPU seconds) from the start of the command to the claim of the job."""
    command = [sys.executable, "-m", "fitfleet", "join", url, "--slots", "1"]
    environment = {**os.environ, "FITFLEET_TOKEN": token}
    began = time.time()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        while waiting.refresh().status in (JobStatus.QUEUED, JobStatus.DISPATCHED):
            assert process.poll() is None, "the worker ended"
            time.sleep(0.02)
        used_s = cpu_s(process.pid)
        waiting.wait(120)
        return waiting.attempts[0]["started_at"] - began, used_s
    finally:
        process.terminate()
        process.wait(120)


def _scheduler(settings: Settings) -> Callable[[], None]:
    """Runs in a thread until what is returned is called."""
    stop, service = threading.Event(), Scheduler(settings, Database(settings.database_url))
    loop = threading.Thread(target=service.run, args=(stop,))
    loop.start()

    def end() -> None:
        stop.set()
        service.wake()
        loop.join()

    return end


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    """All figures, in seconds."""
    with ExitStack() as stack:
        postgres, valkey = Postgres(), Valkey(folder)
        stack.callback(postgres.remove)
        postgres.start()
        stack.callback(valkey.stop)
        valkey.start()
        places = {name: str(folder / name) for name in ("storage", "logs", "cache")}
        Path(places["storage"]).mkdir()
        settings = Settings(database_url=postgres.url(), broker_url=valkey.url, **places)
        database = Database(settings.database_url)
        database.upgrade()
        fleet = ff.Fleet(settings, database)
        with database.begin() as c:
            token = tokens.create(c, "hosts", Scope.WORK)
        server = ApiServer(fleet, Options("127.0.0.1:0")).start()
        stack.callback(server.stop)
        stack.callback(_scheduler(settings))
        path = write_data(folder)
        runs = [
            joined(fleet, server.url, token, fleet.submit(**job(path, seed)))
            for seed in range(repeats)
        ]
    seconds, used = zip(*runs, strict=True)
    return {
        "benchmark": "host_join",
        "load": os.getloadavg()[0],
        "claim_s": [round(s, 2) for s in seconds],
        "claim_median_s": round(statistics.median(seconds), 2),
        "cpu_s": round(statistics.median(used), 2),
        "imports_cpu_s": round(statistics.median(imports_cpu_s() for _ in range(3)), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=5.0, help="seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.repeats)
    print(json.dumps(figures))
    return 1 if figures["claim_median_s"] > options.limit else 0


if __name__ == "__main__":
    sys.exit(main())
