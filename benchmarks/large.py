"""One large job through a real worker against plain `model.fit`: time and peak memory.

    python benchmarks/large.py [--rounds 2] [--epochs 3] [--model mlp]

The sides take turns, each in a process of its own that has imported TensorFlow before its clock
starts. The plain side reads the arrays, builds, compiles, fits and saves the weights; fitfleet's
time is that from the claim to the end of the attempt in SQL. Peak memory is VmHWM of the process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_SHAPES: dict[str, tuple[tuple[int, ...], int]] = {
    # input shape and rows
    "mlp": ((784,), 50_000),
    "lstm": ((32, 32), 20_000),
}
_CLASSES = 10


def layers(kind: str, of: Any) -> list[Any]:
    """The model's layers, made by `keras.layers` or `ff.layers`."""
    if kind == "lstm":
        middle = [of.LSTM(192, return_sequences=True), of.LSTM(192)]
    else:
        middle = [of.Dense(2048, activation="relu") for _ in range(3)]
    return [*middle, of.Dense(_CLASSES, activation="softmax")]


def write_dataset(path: Path, kind: str) -> None:
    """Random arrays, one-hot labels."""
    shape, rows = _SHAPES[kind]
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["x_train"] = random.random((rows, *shape), "float32")
        file["y_train"] = np.eye(_CLASSES, dtype="float32")[random.integers(0, _CLASSES, rows)]


def plain(path: Path, kind: str, epochs: int) -> dict[str, float]:
    """Keras alone, in this process."""
    import keras
    import tensorflow as tf

    tf.constant(0.0)
    keras.utils.set_random_seed(0)
    began = time.perf_counter()
    with h5py.File(path) as file:
        x, y = file["x_train"][()], file["y_train"][()]
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers(kind, keras.layers)])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    fit_began = time.perf_counter()
    model.fit(x, y, batch_size=256, epochs=epochs, verbose=0)
    fitted = time.perf_counter()
    model.save_weights(path.with_name("plain.weights.h5"))
    ended = time.perf_counter()
    status = Path("/proc/self/status").read_text()
    peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return {
        "seconds": ended - began,
        "fit_s": fitted - fit_began,
        "peak_mb": int(peak_kb) / 1024,
    }


def plain_process(path: Path, kind: str, epochs: int) -> dict[str, float]:
    """Keras alone, in a process of its own."""
    command = [sys.executable, __file__, "--plain", str(path), "--model", kind]
    done = subprocess.run(
        [*command, "--epochs", str(epochs)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def fleet(path: Path, kind: str, epochs: int, folder: Path) -> dict[str, Any]:
    """The same fit as a job of a worker that has done none before."""
    import fitfleet as ff

    shape, _ = _SHAPES[kind]
    with ff.local(workers=1, directory=folder) as local:
        job = local.submit(
            model=ff.Sequential([ff.layers.Input(shape), *layers(kind, ff.layers)]),
            dataset=str(path),
            optimizer="adam",
            loss="categorical_crossentropy",
            metrics=["accuracy"],
            batch_size=256,
            epochs=epochs,
            seed=0,
            experiment="large",
        )
        job.wait(raise_on_failure=True)
        attempt = job.attempts[-1]
        print(job.logs(), file=sys.stderr)
    return {
        "seconds": attempt["ended_at"] - attempt["started_at"],
        "peak_mb": attempt["memory_peak_bytes"] / 2**20,
        "engine": attempt["engine"],
    }


def measure(kind: str, rounds: int, epochs: int) -> dict[str, Any]:
    """Medians over the rounds, and their ratios."""
    alone: list[dict[str, float]] = []
    jobs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "data.h5"
        write_dataset(path, kind)
        for number in range(rounds):
            sides = [
                lambda: alone.append(plain_process(path, kind, epochs)),
                lambda number=number: jobs.append(
                    fleet(path, kind, epochs, Path(name) / f"fleet{number}")
                ),
            ]
            for side in sides if number % 2 == 0 else reversed(sides):
                side()
    plain_s = statistics.median(one["seconds"] for one in alone)
    fleet_s = statistics.median(one["seconds"] for one in jobs)
    plain_mb = statistics.median(one["peak_mb"] for one in alone)
    fleet_mb = statistics.median(one["peak_mb"] for one in jobs)
    return {
        "benchmark": "large",
        "model": kind,
        "epochs": epochs,
        "rounds": rounds,
        "engine": jobs[0]["engine"],
        "plain_s": round(plain_s, 2),
        "plain_fit_s": round(statistics.median(one["fit_s"] for one in alone), 2),
        "claim_to_done_s": round(fleet_s, 2),
        "ratio": round(fleet_s / plain_s, 4),
        "all_plain_s": [round(one["seconds"], 2) for one in alone],
        "all_s": [round(one["seconds"], 2) for one in jobs],
        "plain_peak_mb": round(plain_mb),
        "peak_mb": round(fleet_mb),
        "memory_ratio": round(fleet_mb / plain_mb, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--model", choices=sorted(_SHAPES), default="mlp")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain is not None:
        print(json.dumps(plain(options.plain, options.model, options.epochs)))
        return 0
    print(json.dumps(measure(options.model, options.rounds, options.epochs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
