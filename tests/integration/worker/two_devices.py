"""A fit on two logical devices of the CPU, straight and torn; a process of its own, for TensorFlow
takes no more devices once it has begun.

    python tests/integration/worker/two_devices.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fitfleet.worker.process import device

device.assign_all(["gpu simulated-0", "gpu simulated-1"])
device.load(has_own_code=False)
device.configure(1, 2)

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from fleets import DrainAfter, Fleet, assert_same_file  # noqa: E402

import fitfleet as ff  # noqa: E402
from fitfleet.db.session import Database  # noqa: E402
from fitfleet.worker.engines.choice import Engines  # noqa: E402


def main(folder: Path) -> None:
    """AssertionError for numbers that differ."""
    assert len(tf.config.list_logical_devices("CPU")) == 2
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 8)).astype("float32")
    np.savez(folder / "rows.npz", x=x, y=x.mean(axis=1, keepdims=True))
    url = f"sqlite:///{folder / 'fleet.db'}"
    Database(url).upgrade()
    layers = [ff.layers.Input((8,)), ff.layers.Dense(16), ff.layers.Dropout(0.3)]
    job = {
        "model": ff.Sequential([*layers, ff.layers.BatchNormalization(), ff.layers.Dense(1)]),
        "dataset": ff.Dataset(str(folder / "rows.npz"), x="x", y="y"),
        "validation_split": 0.25,
        "loss": "mse",
        "metrics": ["mae"],
        "optimizer": "adam",
        "batch_size": 16,  # of 36 rows: the last batch has 4
        "epochs": 5,
        "seed": 1,
    }
    plain = {"model": ff.Sequential([layers[0], layers[1], ff.layers.Dense(1)]), "optimizer": "sgd"}
    plain |= {"batch_size": 12, "seed": 2}
    with Fleet(url, folder) as fleet:
        alone = fleet.run(**{**job, **plain}, experiment="alone")
        fleet.child.engines = Engines(fleet.settings, replicas=2)
        both = fleet.run(**{**job, **plain}, experiment="both")
        straight = fleet.run(**job, experiment="straight")
        torn = fleet.submit(**job, experiment="torn")
        fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1, 2])
        for _ in range(3):
            fleet.attempt()
            fleet.child.is_draining = False
        row = fleet.row(torn)
        print(row.status, row.failure_message, straight.failure_message, row.engine_reason)
        assert (row.engine, row.engine_reason) == ("fit", "MirroredStrategy on 2 devices")
        outcomes = [(a["outcome"], a["first_epoch"]) for a in fleet.attempts(torn)]
        assert outcomes == [("released", 0), ("released", 2), ("succeeded", 3)], outcomes
        assert fleet.curve(torn) == fleet.curve(straight.id)
        assert_same_file(fleet.artifact(row), fleet.artifact(straight))
        # A step is one of the whole batch, as on one device.
        _assert_close(fleet.curve(both.id), fleet.curve(alone.id))
        _assert_the_same_steps(fleet, {**job, **plain})


def _assert_the_same_steps(fleet: Fleet, job: dict[str, Any]) -> None:
    """Of an epoch and of its validation, and the same epochs, as on one device."""
    fitted = {"steps_per_epoch": 2, "validation_steps": 1, "initial_epoch": 2}
    fleet.child.engines = Engines(fleet.settings, replicas=2)
    both = fleet.run(**{**job, **fitted}, experiment="steps of both")
    fleet.child.engines = Engines(fleet.settings)
    alone = fleet.run(**{**job, **fitted}, experiment="steps alone")
    assert both.engine_reason == "MirroredStrategy on 2 devices"
    curve = fleet.curve(both.id)
    assert sorted({point[0] for point in curve}) == [3, 4, 5]
    _assert_close(curve, fleet.curve(alone.id))


def _assert_close(left: object, right: object) -> None:
    np.testing.assert_allclose(_numbers(left), _numbers(right), rtol=1e-4)


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in _numbers(value[key])]
    if isinstance(value, list | tuple):
        return [number for part in value for number in _numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
