"""Memory of one worker child over many small jobs: of one architecture, and each of its own.

    python benchmarks/memory.py [--jobs 200] [--kinds same different]

The resident memory of the child is looked at twice a second. `growth_mb` is from the child's first
finished job to the most that any child held; a child that has grown by `child_growth_bytes` is
replaced after its job, and `children` tells how many there were.
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
from fitfleet.embedded import LocalFleet
from fitfleet.settings import Settings


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
        self.first: dict[int, int] = {}
        self.most: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin; what the children hold now is what they grow from."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """End it after a last look."""
        self._ended.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            self._look()

    def _look(self) -> None:
        for pid in self._fleet.worker_pids:
            try:
                for child in psutil.Process(pid).children(recursive=True):
                    held = child.memory_info().rss
                    self.first.setdefault(child.pid, held)
                    self.most[child.pid] = max(held, self.most.get(child.pid, 0))
            except psutil.NoSuchProcess:
                continue


def measure(kind: str, count: int) -> dict[str, Any]:
    """Run the jobs of a kind through one worker."""
    with tempfile.TemporaryDirectory() as name:
        dataset = Path(name) / "data.npz"
        random = np.random.default_rng(0)
        x = random.random((256, 8, 4), "float32")
        np.savez(dataset, x_train=x, y_train=x.mean(axis=(1, 2), keepdims=True)[:, 0])
        with ff.local(workers=1, directory=Path(name) / "fleet") as fleet:
            fleet.submit(**job(dataset, 8, 10**6, "first")).wait(120, raise_on_failure=True)
            watch = Watch(fleet)
            watch.start()
            began = time.perf_counter()
            units = [8] * count if kind == "same" else range(8, 8 + count)
            jobs = [job(dataset, one, seed, kind) for seed, one in enumerate(units)]
            handles = fleet.submit_many(jobs)
            fleet.wait(handles)
            spent = time.perf_counter() - began
            watch.stop()
            ended = [str(handle.status) for handle in handles]
    real = {pid: most for pid, most in watch.most.items() if most > 300 * 2**20}
    growth = max(most - watch.first[pid] for pid, most in real.items())
    return {
        "benchmark": "memory",
        "kind": kind,
        "jobs": count,
        "succeeded": ended.count("SUCCEEDED"),
        "seconds": round(spent, 1),
        "growth_mb": round(growth / 2**20),
        "most_mb": round(max(real.values()) / 2**20),
        "replaced_at_mb": round(Settings().child_growth_bytes / 2**20),
        "children": len(real),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", default=["same", "different"])
    options = parser.parse_args()
    for kind in options.kinds:
        print(json.dumps(measure(kind, options.jobs)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
