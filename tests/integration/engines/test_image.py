"""Weights files that are copies of an earlier one hold what Keras would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from fitfleet.worker.image import weights_file

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.random((32, 4, 3), "float32"), RANDOM.random((32, 2), "float32")


def model(optimizer: Any) -> Any:
    """One with nested cells, state that is not trained, and seeds."""
    layers = keras.layers
    found = keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Bidirectional(layers.LSTM(3, dropout=0.1)),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            layers.Dense(2),
        ]
    )
    found.compile(optimizer, "mse", metrics=["mae"])
    return found


def contents(file: Any) -> dict[str, Any]:
    """Every group and dataset with its attributes."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        value = item[()].tobytes() if isinstance(item, h5py.Dataset) else None
        found[name] = (value, dict(item.attrs))

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return found


@pytest.mark.parametrize("optimizer", ["rmsprop", "nadam", "lossscale"])
def test_every_file_of_a_model_is_as_keras_writes_it(optimizer: str, tmp_path: Path) -> None:
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    fitted = model(scaled if optimizer == "lossscale" else optimizer)
    path = tmp_path / "keras.weights.h5"
    for _ in range(3):
        fitted.fit(X, Y, verbose=0)
        fitted.save_weights(path)
        assert contents(weights_file(fitted)) == contents(path)


def test_a_compiled_anew_model_has_a_new_file() -> None:
    fitted = model("sgd")
    fitted.fit(X, Y, verbose=0)
    before = contents(weights_file(fitted))
    fitted.compile("adam", "mse")
    fitted.fit(X, Y, verbose=0)
    after = contents(weights_file(fitted))
    assert len(after) > len(before)
