"""One large job through a real worker against plain `model.fit`: time and peak memory.

    python benchmarks/large.py [--rounds 2] [--epochs 6] [--model mlp]

The sides take turns, each first in every other round, in processes that have imported TensorFlow
before the clock starts. The plain side reads the arrays, builds, compiles, fits and saves the
weights; fitfleet's time is that from the claim to the end of the attempt in SQL. Peak memory is
VmHWM of the process, `base_mb` what it held before. Where other work took the cores, the CPU
seconds tell more than the clock: on fitfleet's side they are those of all its processes.
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
import psutil

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
    base, cpu_s = psutil.Process().memory_info().rss, _cpu_s()
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
        "cpu_s": _cpu_s() - cpu_s,
        "base_mb": base / 2**20,
        "peak_mb": int(peak_kb) / 1024,
    }


def plain_process(path: Path, kind: str, epochs: int) -> dict[str, float]:
    """Keras alone, in a process of its own."""
    command = [sys.executable, __file__, "--plain", str(path), "--model", kind]
    done = subprocess.run(
        [*command, "--epochs", str(epochs)], check=True, stdout=subprocess.PIPE, text=True
    )
    report: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def fleet(path: Path, kind: str, epochs: int, folder: Path) -> dict[str, Any]:
    """The same fit as a job of a worker that has done none before."""
    import fitfleet as ff

    shape, _ = _SHAPES[kind]
    with ff.local(workers=1, directory=folder) as local:
        base = _warm_bytes()
        cpu_s = _cpu_s()
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
        cpu_s = _cpu_s() - cpu_s
        print(job.logs(), file=sys.stderr)
    return {
        "seconds": attempt["ended_at"] - attempt["started_at"],
        "cpu_s": cpu_s,
        "base_mb": base / 2**20,
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
    report: dict[str, Any] = {"benchmark": "large", "model": kind, "epochs": epochs}
    report |= {"rounds": rounds, "engine": jobs[0]["engine"]}
    report["plain_fit_s"] = round(_median(alone, "fit_s"), 2)
    for name in ("seconds", "cpu_s", "base_mb", "peak_mb"):
        report[f"plain_{name}"] = [round(side[name], 1) for side in alone]
        report[name] = [round(side[name], 1) for side in jobs]
    for name in ("seconds", "cpu_s", "peak_mb"):
        report[f"{name}_ratio"] = round(_median(jobs, name) / _median(alone, name), 3)
    # Other work can only slow a side down.
    best = [min(side["seconds"] for side in sides) for sides in (jobs, alone)]
    report["best_seconds_ratio"] = round(best[0] / best[1], 3)
    return report


def _median(sides: list[dict[str, Any]], name: str) -> float:
    return statistics.median(side[name] for side in sides)


def _cpu_s() -> float:
    """CPU time of this process and of all that it has started."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in processes)


def _warm_bytes() -> int:
    """What a worker's child holds once it has imported TensorFlow and waits."""
    before = 0
    while True:
        time.sleep(2)
        children = psutil.Process().children(recursive=True)
        used_bytes: int = max((child.memory_info().rss for child in children), default=0)
        if used_bytes > 300 * 2**20 and used_bytes - before < 2**20:
            return used_bytes
        before = used_bytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
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
