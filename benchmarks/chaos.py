"""Chaos: jobs fitted while everything around them is shot at, compared with an undisturbed run.

    python benchmarks/chaos.py --jobs 60 --seed 1
    python benchmarks/chaos.py --jobs 60 --seed 1 --database postgresql

An embedded fleet with Valkey, on SQLite or on a PostgreSQL of its own. The drill's faults (a child
killed, a message lost, a message doubled) and harder ones. Prints a line of JSON; exit code 1 if a
job was lost, done twice or came out different.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from psycopg import Error as PostgresError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _chaos_jobs import document
from support.servers import Postgres

from fitfleet.chaos.drill import FAULTS, Fault, drill, fitting
from fitfleet.embedded.fleet import LocalFleet
from fitfleet.queue import celery_app

_LEASE_S = 4.0
_PAUSE_S = (2.0, 6.0)  # between two faults: a worker that was killed needs time to fit again
_BEYOND_THE_LEASE_S = 6.0
_FREEZE_TRIALS = 40
_RESTART_S = 30.0


def kill_service(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """SIGKILL to a worker service and its child; the fleet starts another."""
    children = fitting(fleet, ids)
    if not children:
        return False
    with suppress(ProcessLookupError):
        os.killpg(os.getpgid(rng.choice(children)), signal.SIGKILL)
    return True


def freeze(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """SIGSTOP to a child until its lease has expired; then it wakes as a zombie."""
    children = fitting(fleet, ids)
    return bool(children) and _freeze(fleet, [rng.choice(children)])


def freeze_service(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """SIGSTOP to a worker service with its child."""
    children = fitting(fleet, ids)
    if not children:
        return False
    child = rng.choice(children)
    with suppress(psutil.Error):
        return _freeze(fleet, [child, psutil.Process(child).ppid()])
    return False


def _freeze(fleet: LocalFleet, pids: Sequence[int]) -> bool:
    """Not in a transaction on SQLite, whose one lock nobody could break."""
    for _ in range(_FREEZE_TRIALS):
        _signal_all(pids, signal.SIGSTOP)
        if not fleet.database.is_sqlite or _is_free(str(fleet.database.url.database)):
            threading.Timer(_BEYOND_THE_LEASE_S, _signal_all, [pids, signal.SIGCONT]).start()
            return True
        _signal_all(pids, signal.SIGCONT)
        time.sleep(0.02)
    return False


def _is_free(path: str) -> bool:
    with closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def flush(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """FLUSHALL: every message is gone."""
    with celery_app(fleet.settings).connection_for_write() as connection:
        connection.default_channel.client.flushall()
    return True


def kill_broker(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """SIGKILL to Valkey; the fleet starts it again."""
    folder = Path(fleet.settings.logs).parent / "broker"
    with suppress(OSError, ValueError):
        os.kill(int((folder / "valkey.pid").read_text()), signal.SIGKILL)
        return True
    return False


class DatabaseKill:
    """PostgreSQL crashes: a backend, the server at once, or its first process alone.

    Down for up to longer than a lease; with luck a child dies meanwhile, unseen.
    """

    def __init__(self, server: Postgres) -> None:
        self._server = server

    def __call__(self, fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
        """One of them at random."""
        children = fitting(fleet, ids)
        number = rng.choice([None, signal.SIGQUIT, signal.SIGKILL])
        if number is None:
            return self._kill_backend(rng)
        self._server.stop(number)
        time.sleep(rng.uniform(0.5, 1.5 * _LEASE_S))
        if children and rng.random() < 0.5:
            _signal_all([rng.choice(children)], signal.SIGKILL)
        self._start()
        return True

    def _kill_backend(self, rng: random.Random) -> bool:
        assert self._server.process is not None
        clients = []
        for backend in psutil.Process(self._server.process.pid).children():
            with suppress(psutil.Error):  # it has ended meanwhile
                if "fitfleet" in " ".join(backend.cmdline()):
                    clients.append(backend.pid)
        if clients:
            _signal_all([rng.choice(clients)], signal.SIGKILL)
        return bool(clients)

    def _start(self) -> None:
        """Until the last process of the killed server is gone, a new one refuses to start."""
        deadline = time.monotonic() + _RESTART_S
        while True:
            try:
                self._server.start()
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


@contextmanager
def _database(kind: str) -> Iterator[tuple[dict[str, Any], dict[str, Fault]]]:
    """Settings and faults of a database of that kind."""
    if kind == "sqlite":
        yield {}, {}
        return
    # A killed server has to keep what it has committed.
    server = Postgres(synchronous_commit="on")
    try:
        server.start()
        url = server.url(server.create_database())
        yield {"database_url": url}, {"kill_database": DatabaseKill(server)}
    finally:
        with suppress(PostgresError):
            server.remove()


def main() -> int:
    """Run once; 0 if nothing was lost, done twice or different."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--directory", type=Path, help="Kept afterwards, to be looked into.")
    given = parser.parse_args()
    faults = {
        **FAULTS,
        "kill_service": kill_service,
        "freeze": freeze,
        "freeze_service": freeze_service,
        "flush": flush,
        "kill_broker": kill_broker,
    }
    with _database(given.database) as (settings, more), tempfile.TemporaryDirectory() as folder:
        report = drill(
            given.directory or Path(folder),
            jobs=given.jobs,
            workers=given.workers,
            seed=given.seed,
            timeout_s=60.0 + 20.0 * given.jobs,
            settle_s=_BEYOND_THE_LEASE_S + 1.0,
            faults={**faults, **more},
            pause_s=_PAUSE_S,
            settings={"lease_s": _LEASE_S, "cohort_max": 3, **settings},
            document=document,
        )
    verdict = {**asdict(report), "is_good": report.is_good, "seconds_lost": report.seconds_lost}
    print(json.dumps({"database": given.database, "seed": given.seed, **verdict}))
    return 0 if report.is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
