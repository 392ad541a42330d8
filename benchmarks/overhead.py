"""What fitfleet adds to one fit: seconds from claim to done against a plain script's build and fit.

usage: python -m benchmarks.overhead [--repeats 3] [--epochs 50]

Both fit the notes' stacked LSTM (3 x 32 units, 1000 x 8 x 16, batch 64) in a warm process, in
turn, so that other load on the machine meets both. Prints one JSON line.
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

import h5py
import numpy as np

import fitfleet as ff


def write_dataset(path: Path) -> dict[str, np.ndarray]:
    """Random arrays of the notes' shapes."""
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.random((1000, 8, 16), "float32"),
        "y_train": random.random((1000, 10), "float32"),
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return arrays


def plain(arrays: dict[str, np.ndarray], epochs: int) -> float:
    """Seconds of build, compile and fit by Keras alone."""
    import keras

    began = time.monotonic()
    model = keras.Sequential(
        [
            keras.Input((8, 16)),
            keras.layers.LSTM(32, return_sequences=True),
            keras.layers.LSTM(32, return_sequences=True),
            keras.layers.LSTM(32),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(arrays["x_train"], arrays["y_train"], batch_size=64, epochs=epochs, verbose=0)
    return time.monotonic() - began


def job(path: Path, seed: int, epochs: int) -> dict[str, Any]:
    """The same fit as a job."""
    layers = ff.layers
    return {
        "model": ff.Sequential(
            [
                layers.Input((8, 16)),
                layers.LSTM(32, return_sequences=True),
                layers.LSTM(32, return_sequences=True),
                layers.LSTM(32),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        "dataset": str(path),
        "optimizer": "rmsprop",
        "loss": "categorical_crossentropy",
        "metrics": ["accuracy"],
        "batch_size": 64,
        "epochs": epochs,
        "seed": seed,
        "experiment": "overhead",
    }


def measure(repeats: int, epochs: int) -> dict[str, Any]:
    """Medians in seconds, and their ratio; the first fit of each side warms it up."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.h5"
        arrays = write_dataset(path)
        plain_s, fleet_s, engines = [], [], set()
        with ff.local(workers=1, directory=Path(folder) / "fleet") as fleet:
            for seed in range(repeats + 1):
                plain_s.append(plain(arrays, epochs))
                handle = fleet.submit(**job(path, seed, epochs))
                fleet.wait([handle])
                attempt = handle.attempts[-1]
                fleet_s.append(attempt["ended_at"] - attempt["started_at"])
                engines.add(str(attempt["engine"]))
    first = fleet_s[0] / plain_s[0]
    plain_median, fleet_median = statistics.median(plain_s[1:]), statistics.median(fleet_s[1:])
    return {
        "benchmark": "overhead",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "epochs": epochs,
        "repeats": repeats,
        "engine": sorted(engines),
        "plain_s": round(plain_median, 3),
        "claim_to_done_s": round(fleet_median, 3),
        "ratio": round(fleet_median / plain_median, 3),
        "ratio_first_fit": round(first, 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    print(json.dumps(measure(options.repeats, options.epochs)))
