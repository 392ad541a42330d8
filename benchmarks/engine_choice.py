"""The choice between loop and stack against the better one: 12 architectures, 5 cohort sizes.

    python benchmarks/engine_choice.py [--models MLP LSTM] [--epochs 5] [--beside 1]

Each architecture is trained in a process of its own by both engines, in cohorts of each size; that
gives what a cohort costs from the first trace to the last job. Then the choice is replayed: *known*
with what these sessions have recorded, *first* with the records of the other architectures alone.
The regret is by how much the chosen way costs more than the better one. All in CPU seconds, those
that the choice sees included, so another load on the machine hardly counts, nor how many
architectures are measured at once (`--beside`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "integration" / "engines"), str(HERE.parent / "tests")]

SIZES = (2, 4, 8, 16, 32)
_SERIES, _WORDS = (8, 16), (12,)


def _models() -> dict[str, tuple[tuple[int, ...], Callable[[], list[Any]]]]:
    """Shape of a row, and the hidden layers."""
    from keras import layers as L

    def dense(width: int, count: int) -> list[Any]:
        return [part for _ in range(count) for part in (L.Dense(width, "relu"), L.Dropout(0.3))]

    return {
        "MLP": ((64,), lambda: dense(64, 2)),
        "wide MLP": ((64,), lambda: dense(256, 2)),
        "deep MLP": ((64,), lambda: [*dense(32, 4), L.BatchNormalization()]),
        "LSTM": (_SERIES, lambda: [L.LSTM(32)]),
        "three LSTMs": (
            _SERIES,
            lambda: [*(L.LSTM(32, return_sequences=True) for _ in range(2)), L.LSTM(32)],
        ),
        "wide LSTM": (_SERIES, lambda: [L.LSTM(96)]),
        "two GRUs": (_SERIES, lambda: [L.GRU(28, return_sequences=True), L.GRU(28)]),
        "SimpleRNN": (_SERIES, lambda: [L.SimpleRNN(32)]),
        "Conv1D": (
            _SERIES,
            lambda: [L.Conv1D(32, 3, activation="relu"), L.GlobalAveragePooling1D()],
        ),
        "Conv2D": (
            (12, 12, 1),
            lambda: [L.Conv2D(8, 3, activation="relu"), L.MaxPooling2D(), L.Flatten()],
        ),
        "words": (_WORDS, lambda: [L.Embedding(500, 16), L.Flatten(), L.Dense(32, "relu")]),
        "words, LSTM": (_WORDS, lambda: [L.Embedding(500, 16), L.LSTM(24)]),
    }


def _cohort(name: str, count: int, epochs: int) -> list[Any]:
    import keras
    import ledger
    import numpy as np

    from fitfleet.data.arrays import Arrays

    shape, hidden = _models()[name]
    numbers, rows, is_text = np.random.default_rng(0), 640, name.startswith("words")
    x = numbers.integers(0, 500, (rows, *shape)) if is_text else numbers.random((rows, *shape))
    x = x.astype("int32" if is_text else "float32")
    y = np.eye(10, dtype="float32")[numbers.integers(0, 10, rows)]
    arrays = Arrays(x=x, y=y, x_val=x[:64], y_val=y[:64])
    inputs = keras.Input(shape, dtype="int32" if is_text else None)
    model = keras.Sequential([inputs, *hidden(), keras.layers.Dense(10, activation="softmax")])
    given = {"loss": "categorical_crossentropy", "metrics": ["accuracy"], "optimizer": "adam"}
    specs = [
        ledger.spec(model, seed=seed, batch_size=64, epochs=epochs, **given)
        for seed in range(count)
    ]
    return [ledger.prepared(spec, arrays, number) for number, spec in enumerate(specs)]


def measure(name: str, epochs: int, folder: Path) -> dict[str, Any]:
    """CPU seconds of a cohort by each engine, by its size; the engines' records go to `folder`."""
    import ledger

    from fitfleet.worker.engines.fused.fused import FusedFit
    from fitfleet.worker.engines.single_job.loop import LoopFit
    from fitfleet.worker.engines.speeds import Speeds

    speeds = Speeds(folder)
    loop, fused = LoopFit(ledger.SETTINGS, speeds), FusedFit(ledger.SETTINGS, speeds)

    def seconds(engine: Any, count: int) -> float:
        jobs, began = _cohort(name, count, epochs), time.process_time()
        for error in ledger.train(engine, jobs).errors.values():
            raise error
        return time.process_time() - began

    first, rest = seconds(loop, 1), seconds(loop, 4) / 4
    cold = seconds(fused, SIZES[0])
    warm = {count: seconds(fused, count) for count in SIZES}
    once = max(0.0, cold - warm[SIZES[0]])
    return {
        "loop": {str(count): first + (count - 1) * rest for count in SIZES},
        "fused": {str(count): once + warm[count] for count in SIZES},
        "loop_first": first,
        "fused_job": {str(count): warm[count] / count for count in SIZES},
        "loop_job": rest,
        "fused_once": once,
    }


def replay(name: str, count: int, epochs: int, costs: dict[str, Any], folders: list[Path]) -> float:
    """CPU seconds of what is chosen for a cohort, by a child that has traced nothing."""
    from fitfleet.settings import Settings
    from fitfleet.worker.engines.choice import Engines

    with tempfile.TemporaryDirectory() as place:
        settings = Settings(cache=place, programs=str(Path(place) / "programs"))
        known = {k: v for folder in folders for k, v in _records(folder).items()}
        (Path(place) / "speeds.json").write_text(json.dumps(known), encoding="utf-8")
        engines = Engines(settings)
        for engine in (engines._fused, engines._open):
            engine.trace = lambda job: None  # type: ignore[method-assign]
        total, has_looped = 0.0, False
        for choice in engines.choose(_cohort(name, count, epochs)):
            jobs = len(choice.jobs)
            if choice.engine.name == "fused":
                near = min(SIZES, key=lambda size: abs(size - jobs))
                total += costs["fused_once"] + jobs * costs["fused_job"][str(near)]
                continue
            total += jobs * costs["loop_job"]
            total += 0.0 if has_looped else costs["loop_first"] - costs["loop_job"]
            has_looped = True
            _record_loop(engines, choice.jobs[0], costs["records"])
    return total


def _record_loop(engines: Any, job: Any, records: Path) -> None:
    """What the session of the looped job would have shown."""
    from fitfleet.worker.engines.speeds import Speeds

    shown, key = Speeds(records), engines._fused.key(job)
    for name in ("loop", "loop traced"):
        value = shown.get(key, name)
        if value is not None:
            engines._speeds.record(key, **{name.replace(" ", "_"): value})
    engines._loop.is_traced = lambda job: True


def _records(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "speeds.json").read_text(encoding="utf-8"))
    return found


def _apart(name: str, epochs: int, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    command = [sys.executable, __file__, "--alone", name, str(epochs), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "records": folder}


def _show(names: list[str], epochs: int, beside: int, root: Path) -> None:
    def cost(name: str) -> dict[str, Any]:
        return _apart(name, epochs, root / name.replace(" ", "_"))

    with ThreadPoolExecutor(beside) as pool:
        costs = dict(zip(names, pool.map(cost, names), strict=True))
    regrets: dict[str, list[float]] = {"known": [], "first": []}
    for name, one in costs.items():
        others = [other["records"] for key, other in costs.items() if key != name]
        for count in SIZES:
            row: dict[str, Any] = {"benchmark": "engine_choice", "model": name, "jobs": count}
            for way in ("loop", "fused"):
                row[f"{way}_cpu_s"] = round(one[way][str(count)], 2)
            best = min(one["loop"][str(count)], one["fused"][str(count)])
            for kind, folders in (("known", [*others, one["records"]]), ("first", others)):
                regret = replay(name, count, epochs, one, folders) / best - 1
                regrets[kind].append(regret)
                row[f"{kind}_regret"] = round(regret, 3)
            print(json.dumps(row), flush=True)
    for kind, found in regrets.items():
        row = {"benchmark": "engine_choice", "choice": kind, "cases": len(found)}
        row |= {"median": round(median(found), 3), "worst": round(max(found), 3)}
        print(json.dumps(row), flush=True)


def main() -> int:
    time.perf_counter = time.process_time  # what the engines measure by, too
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=list(_models()))
    parser.add_argument("--beside", type=int, default=1)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        name, epochs, folder = options.alone
        print(json.dumps(measure(name, int(epochs), Path(folder))))
        return 0
    with tempfile.TemporaryDirectory() as root:
        _show(options.models, options.epochs, options.beside, Path(root))
    return 0


if __name__ == "__main__":
    sys.exit(main())
