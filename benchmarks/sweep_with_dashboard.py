"""What ten users with pages open cost a sweep: its seconds with and without them.

    python benchmarks/sweep_with_dashboard.py [--users 10] [--jobs 256] [--rounds 3]

A fleet of two workers on this machine trains the same sweep of small networks again and again. In
every second round each user has the page of the experiment open: its stream of events, its table
whenever that changes, and a panel or a job every few seconds. All share the machine's cores, so
what the pages cost is the sweep's loss. Printed are medians, their ratio, and the processor seconds
of the pages' server.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import numpy as np
import psutil

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests"), str(HERE.parent / "tests/dashboard")]

from page_client import Visitor  # noqa: E402

import fitfleet as ff  # noqa: E402
from benchmarks.dashboard import events, served, signed_in  # noqa: E402

PAUSE_S = 5.0  # between two looks of a user at something else
PANELS = ("parallel", "scatter", "groups")


def dataset(folder: Path) -> Path:
    """Rows of noise with ten classes."""
    numbers = np.random.default_rng(0)
    path = folder / "noise.npz"
    x = numbers.normal(size=(2000, 32)).astype("float32")
    np.savez(path, x_train=x, y_train=numbers.integers(0, 10, len(x)))
    return path


def sweep(fleet: ff.Fleet, data: Path, experiment: str, jobs: int) -> float:
    """Seconds until so many fits have ended."""
    model = ff.Sequential(
        [ff.layers.Input((32,)), ff.layers.Dense(32, "relu"), ff.layers.Dense(10, "softmax")]
    )
    shared = {"model": model, "dataset": str(data), "epochs": 20, "batch_size": 64}
    shared |= {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    shared |= {"validation_split": 0.2, "experiment": experiment}
    began = time.monotonic()
    handles = fleet.submit_many([{**shared, "seed": seed} for seed in range(jobs)], again=True)
    fleet.wait(handles, raise_on_failure=True)
    return time.monotonic() - began


def follow(visitor: Visitor, experiment: str, stop: threading.Event) -> None:
    """An open page: its stream, and its table when the experiment has changed."""
    for line in events(visitor, stop):
        if b"experiment-" in line:
            visitor.get(f"/part/table?name={experiment}")


def browse(visitor: Visitor, experiment: str, stop: threading.Event) -> None:
    """A user who looks at one panel after the other."""
    panels = cycle(PANELS)
    while not stop.wait(PAUSE_S):
        visitor.get(f"/experiment?name={experiment}&panel={next(panels)}")


@contextmanager
def users(visitors: list[Visitor], experiment: str) -> Iterator[None]:
    """Each has the page of an experiment open until the end of the block."""
    stop = threading.Event()
    for visitor in visitors:
        for act in (follow, browse):
            threading.Thread(target=act, args=(visitor, experiment, stop), daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    alone: list[float] = []
    visited: list[float] = []
    cost: list[float] = []
    with tempfile.TemporaryDirectory() as name, ff.local(2, Path(name) / "fleet") as fleet:
        folder = Path(name)
        data = dataset(folder)
        sweep(fleet, data, "warm", arguments.jobs)
        with served(fleet.settings.database_url, folder) as (address, server):
            visitors = signed_in(address, arguments.users)
            for number in range(arguments.rounds):
                alone.append(sweep(fleet, data, f"alone-{number}", arguments.jobs))
                experiment = f"visited-{number}"
                before = sum(psutil.Process(server.pid).cpu_times()[:2])
                with users(visitors, experiment):
                    visited.append(sweep(fleet, data, experiment, arguments.jobs))
                cost.append(sum(psutil.Process(server.pid).cpu_times()[:2]) - before)
                print(f"{alone[-1]:.1f} s alone, {visited[-1]:.1f} s visited", file=sys.stderr)
    ratio = statistics.median(visited) / statistics.median(alone)
    print(f"{arguments.jobs} fits alone    {statistics.median(alone):6.2f} s")
    print(f"with {arguments.users} users      {statistics.median(visited):6.2f} s  x{ratio:.3f}")
    print(f"server of the pages {statistics.median(cost):6.2f} s of a core")


if __name__ == "__main__":
    main()
