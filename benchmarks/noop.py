"""No-op fits a second against plain Celery's no-op tasks, on the same broker.

    python benchmarks/noop.py [--jobs 2000] [--workers 1] [--rounds 3] [--database sqlite]

Both sides run real Celery worker services with one process each, which are up before the clock
starts, and take turns. Celery's clock runs from the first `delay` to the end of the last task.
fitfleet's runs from the scheduler's first poll until the last one is SUCCEEDED
in SQL: messages, claims (with peers), leases, the dataset, an epoch's metrics, a score, a file and
the fenced commit are all in it. What is left out is TensorFlow's part (_noop_worker.py).
`submits_per_s` is told apart, since jobs may be put into SQL at any time before. A file is synced
to the disk twice, with its folder, which plain Celery has nothing like: `--storage /dev/shm` takes
the disk out of the figure.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

import numpy as np  # noqa: E402
from support.servers import Postgres, Valkey  # noqa: E402

import fitfleet as ff  # noqa: E402
from fitfleet.db.fleet import workers  # noqa: E402
from fitfleet.db.reading import lookup  # noqa: E402
from fitfleet.db.session import Database  # noqa: E402
from fitfleet.scheduler.service import Scheduler  # noqa: E402
from fitfleet.settings import Settings, directory_settings  # noqa: E402
from fitfleet.states import JobStatus  # noqa: E402


def jobs(dataset: Path, count: int, experiment: str) -> list[dict[str, Any]]:
    """Jobs of one epoch that differ in their seed."""
    model = ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)])
    shared = {"model": model, "dataset": str(dataset), "loss": "mse", "epochs": 1}
    return [{**shared, "seed": seed, "experiment": experiment} for seed in range(count)]


def wait_for(is_there: Any, what: str, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_there():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)


class FleetSide:
    """Worker services of no-op children, and a scheduler for each round."""

    def __init__(self, settings: Settings, folder: Path, count: int) -> None:
        self._settings = settings
        self._database = Database(settings.database_url)
        self._database.upgrade()
        self._fleet = ff.connect(**_as_arguments(settings))
        self._dataset = folder / "data.npz"
        np.savez(self._dataset, x_train=np.zeros((8, 4), "f4"), y_train=np.zeros((8, 1), "f4"))
        environment = {**os.environ, **settings.to_environment()}
        command = [sys.executable, str(HERE / "_noop_worker.py")]
        self._log = (folder / "fitfleet.log").open("wb")
        self._services = [
            subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
            for _ in range(count)
        ]
        wait_for(lambda: self._count_live() == count, "fitfleet's workers")
        self.round(count * 10, "warm")

    def _count_live(self) -> int:
        with self._database.read() as c:
            return len(workers.live(c, 60.0))

    def _count_done(self) -> int:
        with self._database.read() as c:
            return lookup.count_jobs(c).get(JobStatus.SUCCEEDED, 0)

    def round(self, count: int, experiment: str) -> dict[str, float]:
        """Seconds to submit and to run so many jobs."""
        wanted = self._count_done() + count
        began = time.perf_counter()
        self._fleet.submit_many(jobs(self._dataset, count, experiment))
        submitted = time.perf_counter()
        stop = threading.Event()
        scheduler = Scheduler(self._settings, self._database)
        thread = threading.Thread(target=scheduler.run, args=(stop,))
        thread.start()
        wait_for(lambda: self._count_done() >= wanted, f"{count} jobs")
        ended = time.perf_counter()
        stop.set()
        thread.join()
        return {"submit_s": submitted - began, "run_s": ended - submitted}

    def close(self) -> None:
        for service in self._services:
            service.terminate()
        for service in self._services:
            service.wait()


class CelerySide:
    """A plain Celery app on the same broker."""

    def __init__(self, url: str, broker: Valkey, folder: Path, count: int) -> None:
        os.environ["NOOP_BROKER_URL"] = url
        sys.path.insert(0, str(HERE))
        import _noop_celery

        self._tasks, self._broker = _noop_celery, broker
        command = [sys.executable, "-m", "celery", "-A", "_noop_celery", "worker"]
        command += ["--concurrency", "1", "--loglevel", "WARNING"]
        self._log = (folder / "celery.log").open("wb")
        self._services = [
            subprocess.Popen(
                [*command, "-n", f"noop{number}"], cwd=HERE, stdout=self._log, stderr=self._log
            )
            for number in range(count)
        ]
        self.round(count * 10)
        self.round(count * 10)

    def round(self, count: int) -> float:
        """Seconds from the first `delay` to the end of the last task."""
        client = self._broker.client()
        client.delete(self._tasks.ENDED)
        began = time.perf_counter()
        for number in range(count):
            self._tasks.nothing.delay(number, 1)
        self._tasks.end.delay()
        wait_for(lambda: client.exists(self._tasks.ENDED), "Celery's tasks")
        spent = time.perf_counter() - began
        client.close()
        return spent

    def close(self) -> None:
        for service in self._services:
            service.terminate()
        for service in self._services:
            service.wait()


def _as_arguments(settings: Settings) -> dict[str, Any]:
    names = ("storage", "data_root", "logs", "cache")
    return {
        "database_url": settings.database_url,
        "broker_url": settings.broker_url,
        **{name: getattr(settings, name) for name in names},
    }


def measure(
    kind: str, count: int, services: int, rounds: int, folder: Path, place: Path | None
) -> dict[str, Any]:
    """Medians of some rounds, the sides taking turns."""
    celery_s, fleet_s, submit_s = [], [], []
    with ExitStack() as stack:
        broker = Valkey(folder)
        stack.callback(broker.stop)
        broker.start()
        chosen = {**directory_settings(folder / "fleet"), "broker_url": broker.url}
        if place is not None:
            chosen["storage"] = stack.enter_context(tempfile.TemporaryDirectory(dir=place))
        if kind == "postgresql":
            server = Postgres()
            stack.callback(server.remove)
            server.start()
            chosen["database_url"] = server.url()
        settings = Settings.load({**chosen, "data_root": str(folder)})
        celery = CelerySide(broker.url, broker, folder, services)
        stack.callback(celery.close)
        fleet = FleetSide(settings, folder, services)
        stack.callback(fleet.close)
        for number in range(rounds):
            celery_s.append(celery.round(count))
            times = fleet.round(count, f"round{number}")
            fleet_s.append(times["run_s"])
            submit_s.append(times["submit_s"])
    celery_rate = count / statistics.median(celery_s)
    fleet_rate = count / statistics.median(fleet_s)
    return {
        "benchmark": "noop",
        "database": kind,
        "storage": str(place or "disk"),
        "jobs": count,
        "workers": services,
        "celery_per_s": round(celery_rate),
        "fitfleet_per_s": round(fleet_rate),
        "ratio": round(fleet_rate / celery_rate, 3),
        "submits_per_s": round(count / statistics.median(submit_s)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--storage", type=Path, help="folder for the files; default: beside all")
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is None:
        # Kept until all is measured: ext4 searches long for new inodes after many were deleted.
        with tempfile.TemporaryDirectory() as name:
            subprocess.run([sys.executable, *sys.argv, "--folder", name], check=True)
        return 0
    if len(options.database) > 1:  # Celery's app keeps the broker that it was imported with
        shared = ["--jobs", options.jobs, "--workers", options.workers, "--rounds", options.rounds]
        shared += ["--storage", options.storage] if options.storage else []
        for kind in options.database:
            folder = options.folder / kind
            folder.mkdir()
            command = [sys.executable, __file__, *map(str, shared), "--database", kind]
            command += ["--folder", str(folder)]
            subprocess.run(command, check=True)
        return 0
    (kind,) = options.database
    report = measure(
        kind, options.jobs, options.workers, options.rounds, options.folder, options.storage
    )
    print(json.dumps(report), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
