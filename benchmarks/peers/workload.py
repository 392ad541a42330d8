"""The work that every peer of `benchmarks/sweep.py` does: models, data, points, and the report.

Each peer is a script with the arguments --model, --data, --points and --out. It fits the
model once for every point, a dict of `learning_rate` and `seed`, and reports when the last result
was there.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What a user without a GPU sets to have quiet processes; equal for all.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

Arrays = dict[str, Any]
Point = dict[str, Any]

EPOCHS = 5


@dataclass(frozen=True)
class Work:
    """A model with its data, as the arguments of Keras's compile and fit have it."""

    optimizer: str
    loss: str
    batch_size: int
    rows: int
    shape: tuple[int, ...]
    classes: int
    vocabulary: int = 0  # above 0 the inputs are token numbers below it

    @property
    def is_categorical(self) -> bool:
        """Whether the labels are rows of a class each."""
        return self.loss == "categorical_crossentropy"


WORKS = {
    "lstm": Work("rmsprop", "categorical_crossentropy", 64, 1000, (8, 16), 10),
    "mlp": Work("adam", "categorical_crossentropy", 64, 1000, (64,), 10),
    "embedding": Work("adam", "binary_crossentropy", 64, 640, (20,), 1, vocabulary=1000),
    "conv2d": Work("adam", "categorical_crossentropy", 64, 640, (12, 12, 1), 10),
}


def layers(name: str, kit: Any) -> list[Any]:
    """The layers of a model out of `keras.layers`, or of `fitfleet.layers`: same names."""
    work = WORKS[name]
    if name == "lstm":
        return [
            kit.Input(work.shape),
            kit.LSTM(32, return_sequences=True),
            kit.LSTM(32, return_sequences=True),
            kit.LSTM(32),
            kit.Dense(work.classes, activation="softmax"),
        ]
    if name == "mlp":
        return [
            kit.Input(work.shape),
            kit.Dense(64, activation="relu"),
            kit.Dropout(0.5),
            kit.Dense(64, activation="relu"),
            kit.Dropout(0.5),
            kit.Dense(work.classes, activation="softmax"),
        ]
    if name == "embedding":
        return [
            kit.Input(work.shape, dtype="int32"),
            kit.Embedding(work.vocabulary, 32),
            kit.LSTM(32),
            kit.Dropout(0.5),
            kit.Dense(1, activation="sigmoid"),
        ]
    return [
        kit.Input(work.shape),
        kit.Conv2D(8, 3, activation="relu"),
        kit.MaxPooling2D(),
        kit.Conv2D(16, 3, activation="relu"),
        kit.Flatten(),
        kit.Dense(work.classes, activation="softmax"),
    ]


def write_data(name: str, path: Path) -> None:
    """Random training rows and a tenth as many validation rows."""
    import h5py
    import numpy as np

    work, random = WORKS[name], np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for part, rows in (("train", work.rows), ("val", work.rows // 10)):
            size = (rows, *work.shape)
            x: Any = random.random(size, "float32")
            if work.vocabulary:
                x = random.integers(0, work.vocabulary, size, "int32")
            y: Any = random.integers(0, 2, (rows, 1)).astype("float32")
            if work.is_categorical:
                y = np.eye(work.classes, dtype="float32")[random.integers(0, work.classes, rows)]
            file[f"x_{part}"], file[f"y_{part}"] = x, y


def points(count: int, *, first_rate: float = 1e-4) -> list[Point]:
    """`count` points: learning rates times 4 seeds."""
    rates = [round(first_rate * 1.25**i, 9) for i in range(-(-count // 4))]
    return [{"learning_rate": rate, "seed": seed} for rate in rates for seed in range(4)][:count]


@dataclass(frozen=True)
class Task:
    """The arguments of a peer's command."""

    model: str
    data: str
    points: list[Point]
    out: Path

    def report(self, losses: list[list[float]], **more: Any) -> None:
        """Write the losses of every point's epochs, with the time: now the last result is there."""
        report = {"ended_at": time.time(), "losses": losses} | more
        self.out.write_text(json.dumps(report))


def task() -> Task:
    """The command's arguments."""
    parser = argparse.ArgumentParser()
    for name in ("model", "data", "points", "out"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    points = json.loads(Path(given.points).read_text())
    return Task(given.model, given.data, points, Path(given.out))


def load(path: str) -> Arrays:
    """The arrays of a data file."""
    import h5py

    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def compiled(name: str, point: Point) -> Any:
    """The model as a script builds and compiles it, seeded."""
    import keras

    work = WORKS[name]
    keras.utils.set_random_seed(point["seed"])
    model = keras.Sequential(layers(name, keras.layers))
    optimizer = keras.optimizers.get(work.optimizer)
    optimizer.learning_rate = point["learning_rate"]
    model.compile(optimizer=optimizer, loss=work.loss, metrics=["accuracy"])
    return model


def fitted(name: str, model: Any, arrays: Arrays, **more: Any) -> Any:
    """Keras's fit, and its history; `more` are arguments of it."""
    given = {
        "batch_size": WORKS[name].batch_size,
        "epochs": EPOCHS,
        "validation_data": (arrays["x_val"], arrays["y_val"]),
        "verbose": 0,
    }
    return model.fit(arrays["x_train"], arrays["y_train"], **(given | more))


def fit(name: str, point: Point, arrays: Arrays) -> list[float]:
    """Build, compile and fit by Keras; the loss of every epoch."""
    history = fitted(name, compiled(name, point), arrays)
    losses: list[float] = history.history["loss"]
    return losses


def versions() -> dict[str, str]:
    """Of what all peers share."""
    import keras
    import tensorflow as tf

    return {"tensorflow": tf.__version__, "keras": keras.__version__}
