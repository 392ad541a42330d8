"""Data of a user, as functions that a worker calls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def arrays(rows: int = 24, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.random((rows, 3)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def batches(rows: int = 24) -> Iterator[tuple[Any, Any]]:
    x, y = arrays(rows)
    for start in range(0, rows, 8):
        yield x[start : start + 8], y[start : start + 8]


def dataset() -> Any:
    return tf.data.Dataset.from_tensor_slices(arrays()).batch(8)


class Slices(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return tuple(part[8 * index : 8 * index + 8] for part in arrays())


def slices() -> Any:
    return Slices()


def parts() -> dict[str, Any]:
    (x, y), (x_val, y_val) = arrays(), arrays(8, 1)
    return {"x": x, "y": y, "x_val": x_val, "y_val": y_val}


def drawn() -> tuple[Any, Any]:
    """Other rows at each call."""
    return arrays(seed=int.from_bytes(os.urandom(4), "little"))


def endless() -> Iterator[tuple[Any, Any]]:
    while True:
        yield arrays(1000)


def broken() -> Any:
    raise KeyError("no such file")


def nothing() -> None:
    return None


def steps() -> tuple[Any, Any]:
    """Labels that are one-hot at each step, of which Keras takes no class weights."""
    classes = np.random.default_rng(0).integers(0, 3, (24, 4))
    return np.eye(3, dtype="float32")[classes], np.eye(3, dtype="float32")[classes]
