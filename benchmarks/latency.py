"""How fast submitting is: from submit to claim with an idle worker, and ten thousand jobs at once.

usage: python benchmarks/latency.py [--repeats 30] [--jobs 10000]

Both through the public API on an embedded fleet with SQLite: the spec is checked, the dataset
looked at, the row written, and for the first, the message published and claimed by a warm worker.
Prints one JSON line; the limits are 0.1 s for the median and 10 s for the ten thousand.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import fitfleet as ff

LIMIT_CLAIM_S = 0.1
LIMIT_SUBMIT_S = 10.0


def job(path: Path, seed: int, **changes: Any) -> dict[str, Any]:
    """A tiny fit."""
    layers = [ff.layers.Input((8,)), ff.layers.Dense(4, activation="relu"), ff.layers.Dense(1)]
    return {
        "model": ff.Sequential(layers),
        "dataset": str(path),
        "optimizer": "sgd",
        "loss": "mse",
        "epochs": 1,
        "seed": seed,
        "experiment": "latency",
        **changes,
    }


def write_data(folder: Path) -> Path:
    """A small dataset."""
    path = folder / "data.npz"
    rng = np.random.default_rng(0)
    x, y = rng.random((256, 8), "float32"), rng.random((256, 1), "float32")
    np.savez(path, x_train=x, y_train=y)
    return path


def claims(fleet: ff.Fleet, path: Path, repeats: int) -> list[float]:
    """Seconds from the call of submit to the claim, each with an idle worker."""
    fleet.submit(**job(path, 0)).wait(300)
    latencies = []
    for seed in range(1, repeats + 1):
        time.sleep(0.3)  # the worker is idle again
        began = time.time()
        handle = fleet.submit(**job(path, seed)).wait(60)
        latencies.append(handle.attempts[0]["started_at"] - began)
    return latencies


def submit(fleet: ff.Fleet, path: Path, count: int) -> float:
    """Seconds of one `submit_many` of so many different jobs, that nobody takes."""
    documents = [job(path, seed, queue="nobody", experiment="many") for seed in range(count)]
    began = time.monotonic()
    jobs = fleet.submit_many(documents)
    spent = time.monotonic() - began
    assert len({handle.id for handle in jobs}) == count
    return spent


def measure(repeats: int, count: int) -> dict[str, Any]:
    """All figures, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_data(Path(folder))
        with ff.local(workers=1, directory=Path(folder) / "fleet") as fleet:
            waits = claims(fleet, path, repeats)
            submit_s = submit(fleet, path, count)
    median = statistics.median(waits)
    return {
        "benchmark": "latency",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "submit_to_claim_median_s": round(median, 4),
        "submit_to_claim_worst_s": round(max(waits), 4),
        "repeats": repeats,
        "jobs": count,
        "submit_many_s": round(submit_s, 2),
        "is_within_limits": median < LIMIT_CLAIM_S and submit_s < LIMIT_SUBMIT_S,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=10_000)
    options = parser.parse_args()
    print(json.dumps(measure(options.repeats, options.jobs)))
