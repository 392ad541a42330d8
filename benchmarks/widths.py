"""Jobs of six widths: a program for each width against one program for any width, CPU seconds.

    python benchmarks/widths.py [--jobs 8] [--epochs 5]

A fresh process for each, with TensorFlow imported and the cohorts one after the other, one a width,
as a worker's child trains them: from the first build to the last model. Nothing is read from the
disk. CPU seconds are user and system time of the whole process, so another load on the machine
hardly moves them. `epoch_ratio` is an epoch of 64 units by the one program over that by a program
of this width.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "integration" / "engines"), str(HERE.parent / "tests")]

WIDTHS = (16, 24, 32, 40, 48, 64)
MODELS = ("MLP", "LSTM", "GRU", "SimpleRNN", "Conv1D", "Conv2D", "Embedding")
ENGINES = ("fused", "open")


def _layers(kind: str, width: int) -> tuple[list[Any], int]:
    """All layers but the last, and the rows to train on."""
    from keras import layers as L

    models: dict[str, Callable[[], tuple[list[Any], int]]] = {
        "MLP": lambda: (
            [
                L.Input((64,)),
                *(L.Dense(width, activation="relu"), L.Dropout(0.5)),
                *(L.Dense(width, activation="relu"), L.Dropout(0.5)),
            ],
            1000,
        ),
        "LSTM": lambda: (
            [
                L.Input((8, 16)),
                *(L.LSTM(width, return_sequences=True) for _ in range(2)),
                L.LSTM(width),
            ],
            1000,
        ),
        "GRU": lambda: (
            [
                L.Input((8, 16)),
                *(L.GRU(width, return_sequences=True), L.GRU(width), L.Dropout(0.2)),
            ],
            800,
        ),
        "SimpleRNN": lambda: ([L.Input((8, 16)), L.SimpleRNN(width)], 1000),
        "Conv1D": lambda: (
            [L.Input((16, 8)), L.Conv1D(width, 3, activation="relu"), L.GlobalAveragePooling1D()],
            640,
        ),
        "Conv2D": lambda: (
            [
                L.Input((12, 12, 1)),
                *(L.Conv2D(width, 3, activation="relu"), L.MaxPooling2D(), L.Flatten()),
            ],
            640,
        ),
        "Embedding": lambda: (
            [L.Input((8,), dtype="int32"), L.Embedding(200, width), L.Flatten()],
            640,
        ),
    }
    return models[kind]()


def _cohort(kind: str, width: int, count: int, epochs: int) -> list[Any]:
    import keras
    import ledger
    import numpy as np

    from fitfleet.data.arrays import Arrays

    hidden, rows = _layers(kind, width)
    shape, numbers = hidden[0].shape[1:], np.random.default_rng(0)
    is_text = kind == "Embedding"
    x = numbers.integers(0, 200, (rows, *shape)) if is_text else numbers.random((rows, *shape))
    x = x.astype("int32" if is_text else "float32")
    y = np.eye(10, dtype="float32")[numbers.integers(0, 10, rows)]
    arrays = Arrays(x=x, y=y, x_val=x[: rows // 10], y_val=y[: rows // 10])
    model = keras.Sequential([*hidden, keras.layers.Dense(10, activation="softmax")])
    given = {"loss": "categorical_crossentropy", "metrics": ["accuracy"], "optimizer": "adam"}
    size = {"batch_size": 32 if kind == "GRU" else 64, "epochs": epochs}
    jobs = [ledger.spec(model, seed=seed, **given, **size) for seed in range(count)]
    return [ledger.prepared(spec, arrays, seed) for seed, spec in enumerate(jobs)]


def measure(kind: str, engine: str, count: int, epochs: int) -> float:
    """CPU seconds of all widths' cohorts in this process, one after the other."""
    import ledger

    from fitfleet.worker.engines.fused.fused import FusedFit
    from fitfleet.worker.engines.fused.fused_open_widths import OpenFusedFit

    engines = {"fused": FusedFit, "open": OpenFusedFit}
    cohorts = [_cohort(kind, width, count, epochs) for width in WIDTHS]
    way, began = engines[engine](ledger.SETTINGS), time.process_time()
    for jobs in cohorts:
        for error in ledger.train(way, jobs).errors.values():
            raise error
    return time.process_time() - began


def epoch_ratio(kind: str, count: int) -> float:
    """The quickest epoch by the one program over that by the width's own, the widest cohort."""
    import ledger

    from fitfleet.worker.engines.fused.fused import FusedFit
    from fitfleet.worker.engines.fused.fused_open_widths import OpenFusedFit

    jobs, best = _cohort(kind, WIDTHS[-1], count, 1), {}
    for way in (OpenFusedFit(ledger.SETTINGS), FusedFit(ledger.SETTINGS)) * 2:
        session = way.open(jobs)
        for job in jobs:
            session.start(job, [])
        for epoch in range(12):
            session.begin_epoch([epoch] * count)
            began = time.process_time()
            session.train(lambda: None)
            seconds = time.process_time() - began
            best[type(way)] = min(seconds, best.get(type(way), seconds))
    return best[OpenFusedFit] / best[FusedFit]


def _apart(kind: str, engine: str, count: int, epochs: int) -> float:
    command = [sys.executable, __file__, "--alone", kind, engine, str(count), str(epochs)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=8, help="of each width")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=MODELS)
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        kind, engine, *numbers = options.alone
        count, epochs = map(int, numbers)
        alone = engine == "epochs"
        print(epoch_ratio(kind, count) if alone else measure(kind, engine, count, epochs))
        return 0
    for kind in options.models:
        all_s = {engine: _apart(kind, engine, options.jobs, options.epochs) for engine in ENGINES}
        row = {
            "benchmark": "widths",
            "model": kind,
            "jobs": options.jobs * len(WIDTHS),
            "six_programs_cpu_s": round(all_s["fused"], 2),
            "one_program_cpu_s": round(all_s["open"], 2),
            "ratio": round(all_s["fused"] / all_s["open"], 2),
            "epoch_ratio": round(_apart(kind, "epochs", options.jobs, 1), 2),
        }
        print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
