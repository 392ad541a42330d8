"""Chaos: jobs fitted while everything around them is shot at, compared with an undisturbed run.

    python benchmarks/chaos.py --jobs 60 --seed 1

SQLite and Valkey, as in an embedded fleet. The drill's faults and harder ones: a whole worker
service killed, a child frozen beyond its lease, the broker flushed. Prints a line of
JSON; exit code 1 if a job was lost, done twice or came out different.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from fitfleet.drill import FAULTS, drill, fitting
from fitfleet.embedded import LocalFleet
from fitfleet.queue import celery_app

_BEYOND_THE_LEASE_S = 6.0


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
    if not children:
        return False
    with suppress(psutil.Error):
        child = psutil.Process(rng.choice(children))
        child.suspend()
        threading.Timer(_BEYOND_THE_LEASE_S, _wake, [child]).start()
    return True


def _wake(child: psutil.Process) -> None:
    with suppress(psutil.Error):
        child.resume()


def flush(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """FLUSHALL: every message is gone."""
    with celery_app(fleet.settings).connection_for_write() as connection:
        connection.default_channel.client.flushall()
    return True


def main() -> int:
    """Run once; 0 if nothing was lost, done twice or different."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faults = {**FAULTS, "kill_service": kill_service, "freeze": freeze, "flush": flush}
    with tempfile.TemporaryDirectory() as folder:
        found = drill(
            Path(folder),
            jobs=given.jobs,
            workers=given.workers,
            seed=given.seed,
            timeout_s=60.0 + 20.0 * given.jobs,
            faults=faults,
        )
        time.sleep(_BEYOND_THE_LEASE_S)  # a frozen child is woken before its folder goes
    print(json.dumps({"seed": given.seed, **asdict(found), "seconds_lost": found.seconds_lost}))
    return 0 if found.is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
