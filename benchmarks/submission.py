"""Jobs that `submit_many` takes a second, with all of its checks.

    python benchmarks/submission.py [--jobs 3000] [--configurations 112 3000]

Stacked LSTMs into an empty SQLite database, a share of them the same configuration with another
seed. Seconds are those of the client's processor, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import fitfleet as ff


def jobs(dataset: Path, count: int, configurations: int) -> list[dict[str, Any]]:
    """Fits of so many configurations, each with as many seeds as make up the count."""
    model = ff.Sequential(
        [
            ff.layers.Input((16, 4)),
            ff.layers.LSTM(16, return_sequences=True),
            ff.layers.LSTM(16),
            ff.layers.Dense(4),
        ]
    )
    shared = {"model": model, "dataset": str(dataset), "loss": "mse", "epochs": 3}
    return [
        {
            **shared,
            "optimizer": {"Adam": {"learning_rate": 1e-4 * (1 + number % configurations)}},
            "seed": number // configurations,
        }
        for number in range(count)
    ]


def rate(folder: Path, count: int, configurations: int) -> float:
    """Jobs a second of the client's processor."""
    dataset = folder / "data.npz"
    x, y = np.zeros((8, 16, 4), "float32"), np.zeros((8, 4), "float32")
    np.savez(dataset, x_train=x, y_train=y)
    with ff.local(workers=0, directory=folder / f"fleet-{configurations}") as fleet:
        fits = jobs(dataset, count, configurations)
        began = time.process_time()
        fleet.submit_many(fits)
        return count / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--configurations", type=int, nargs="+", default=[112, 3000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for configurations in arguments.configurations:
            per_s = rate(Path(name), arguments.jobs, configurations)
            print(
                f"{arguments.jobs} jobs of {configurations} configurations: {per_s:,.0f} a second"
            )


if __name__ == "__main__":
    main()
