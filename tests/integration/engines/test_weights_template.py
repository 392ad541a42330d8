"""A weights file holds what Keras would write, however it was made, or is refused with an error."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from refusal import refused_beyond
from support.parts import sampled

from fitfleet.worker.state import weights_template

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.random((32, 4, 3), "float32"), RANDOM.random((32, 2), "float32")


def model(optimizer: Any) -> Any:
    """One with nested cells, state that is not trained, and seeds."""
    layers = keras.layers
    compiled = keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Bidirectional(layers.LSTM(3, dropout=0.1)),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            layers.Dense(2),
        ]
    )
    compiled.compile(optimizer, "mse", metrics=["mae"])
    return compiled


def contents(file: Any) -> dict[str, Any]:
    """Every group and dataset with its attributes."""
    items: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        value = item[()].tobytes() if isinstance(item, h5py.Dataset) else None
        items[name] = (value, dict(item.attrs))

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return items


def written(fitted: Any, path: Path) -> dict[str, Any]:
    """What our file at `path` holds."""
    with weights_template.weights_file(path, fitted):
        pass
    return contents(path)


@pytest.mark.parametrize("optimizer", sampled(["rmsprop", "nadam", "lossscale"], "lossscale"))
def test_every_file_of_a_model_is_as_keras_writes_it(optimizer: str, tmp_path: Path) -> None:
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    fitted = model(scaled if optimizer == "lossscale" else optimizer)
    path = tmp_path / "keras.weights.h5"
    for _ in range(3):
        fitted.fit(X, Y, verbose=0)
        fitted.save_weights(path)
        assert written(fitted, tmp_path / "ours.h5") == contents(path)


@pytest.mark.slow
def test_a_recompiled_model_has_a_new_file(tmp_path: Path) -> None:
    fitted = model("sgd")
    fitted.fit(X, Y, verbose=0)
    before = written(fitted, tmp_path / "sgd.h5")
    fitted.compile("adam", "mse")
    fitted.fit(X, Y, verbose=0)
    after = written(fitted, tmp_path / "adam.h5")
    assert len(after) > len(before)


@pytest.fixture(scope="module")
def large() -> Any:
    """A fitted model above the size of which files are made in memory."""
    wide = keras.layers.Dense
    compiled = keras.Sequential([keras.Input((4, 3)), wide(1200), wide(1200), wide(2)])
    compiled.compile("adam", "mse")
    compiled.fit(X, np.stack([Y] * 4, axis=1), verbose=0)
    assert weights_template.nbytes(compiled) > weights_template._MAX_BYTES
    return compiled


def test_the_file_of_a_large_model_is_as_keras_writes_it(large: Any, tmp_path: Path) -> None:
    path = tmp_path / "keras.weights.h5"
    large.save_weights(path)
    assert written(large, tmp_path / "ours.h5") == contents(path)


def test_the_file_of_a_large_model_is_not_made_in_memory(large: Any, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        written(large, tmp_path / "first.h5")  # what is imported or kept for all later ones
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        with weights_template.weights_file(tmp_path / "ours.h5", large):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    largest = max(variable.numpy().nbytes for variable in large.variables)
    assert peak - before < 2.5 * largest  # three times that are in the file, with Adam's moments


@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("limit", [0, 96, 2048, 8192])
def test_a_refused_file_is_an_error(
    *, is_large: bool, limit: int, large: Any, tmp_path: Path
) -> None:
    fitted = large if is_large else model("sgd")
    with refused_beyond(limit), pytest.raises(OSError, match="File too large"):
        written(fitted, tmp_path / "ours.h5")
    assert (tmp_path / "ours.h5").stat().st_size <= limit
    assert written(fitted, tmp_path / "ours.h5")
