"""Memory of one worker child over many small jobs: of one architecture, and each of its own.

    python benchmarks/memory.py [--jobs 200] [--kinds same different recycled]

The resident memory of the child is measured twice a second. `growth_mb` is from the first child's
first finished job to the most that any child held. A child that has grown by `child_growth_bytes`
is replaced; the jobs of `recycled` are those of `different` with an allowance of 300 MB for it.
`children` tells how many there were, `idle_s` the seconds in which the one slot had no job for
more than half a second.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet
from fitfleet.settings import Settings

_SMALL = 300 * 2**20
_LONG_S = 0.5


def job(dataset: Path, units: int, seed: int, experiment: str) -> dict[str, Any]:
    """A small LSTM or, by its number of units, one of another architecture."""
    layers = ff.layers
    return {
        "model": ff.Sequential(
            [layers.Input((8, 4)), layers.LSTM(units), layers.Dense(1)],
        ),
        "dataset": str(dataset),
        "optimizer": "adam",
        "loss": "mse",
        "epochs": 2,
        "seed": seed,
        "experiment": experiment,
    }


class Watch:
    """The resident memory of the children of a fleet's one worker service."""

    def __init__(self, fleet: LocalFleet) -> None:
        self._fleet = fleet
        self.most: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin; what the child holds now is what all grow from."""
        self._sample()
        self.base = max(self.most.values())
        self._thread.start()

    def stop(self) -> None:
        """End it after a last sample."""
        self._ended.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            self._sample()

    def _sample(self) -> None:
        for pid in self._fleet.worker_pids:
            try:
                for child in psutil.Process(pid).children(recursive=True):
                    held = child.memory_info().rss
                    self.most[child.pid] = max(held, self.most.get(child.pid, 0))
            except psutil.NoSuchProcess:
                continue


def idle_s(jobs: list[ff.Job]) -> float:
    """Seconds between two jobs, where there are many."""
    spans = sorted((a["started_at"], a["ended_at"]) for job in jobs for a in job.attempts)
    idle, busy_until = 0.0, spans[0][0]
    for started_at, ended_at in spans:
        gap = started_at - busy_until
        idle += gap if gap > _LONG_S else 0.0
        busy_until = max(busy_until, ended_at)
    return idle


def measure(kind: str, count: int) -> dict[str, Any]:
    """Run the jobs of a kind through one worker."""
    allowance = _SMALL if kind == "recycled" else Settings().child_growth_bytes
    with tempfile.TemporaryDirectory() as name:
        dataset = Path(name) / "data.npz"
        random = np.random.default_rng(0)
        x = random.random((256, 8, 4), "float32")
        np.savez(dataset, x_train=x, y_train=x.mean(axis=(1, 2), keepdims=True)[:, 0])
        place = Path(name) / "fleet"
        with ff.local(workers=1, directory=place, child_growth_bytes=allowance) as fleet:
            fleet.submit(**job(dataset, 8, 10**6, "first")).wait(120, raise_on_failure=True)
            watch = Watch(fleet)
            watch.start()
            began = time.perf_counter()
            units = [8] * count if kind == "same" else range(8, 8 + count)
            jobs = [job(dataset, size, seed, kind) for seed, size in enumerate(units)]
            handles = fleet.submit_many(jobs)
            fleet.wait(handles)
            spent = time.perf_counter() - began
            watch.stop()
            ended = [str(handle.status) for handle in handles]
            idle = idle_s(handles)
    most = max(watch.most.values())
    return {
        "benchmark": "memory",
        "kind": kind,
        "jobs": count,
        "succeeded": ended.count("SUCCEEDED"),
        "seconds": round(spent, 1),
        "idle_s": round(idle, 1),
        "growth_mb": round((most - watch.base) / 2**20),
        "max_mb": round(most / 2**20),
        "allowance_mb": round(allowance / 2**20),
        "children": sum(held > watch.base / 2 for held in watch.most.values()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", default=["same", "different", "recycled"])
    options = parser.parse_args()
    for kind in options.kinds:
        print(json.dumps(measure(kind, options.jobs)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
