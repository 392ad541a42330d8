"""The same fit as a plain Keras script: the documented seeds and order, and nothing of fitfleet's.

Written from docs/explanation/same-result.md, not from the worker's code, so that the two check
each other. Only the model's config comes from the job, since a model built by hand may draw its
initial weights in another order than one built from its config.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from fitfleet.spec.job import JobSpec


def mix(*parts: object) -> int:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


def order(seed: int, epoch: int, rows: int, *, is_shuffled: bool) -> np.ndarray:
    numbers = tf.range(rows, dtype=tf.int64)
    if is_shuffled:
        key = tf.constant([seed, epoch], tf.int64)
        numbers = tf.random.experimental.stateless_shuffle(numbers, seed=key)
    return numbers.numpy()


def arrays(spec: JobSpec) -> dict[str, Any]:
    """x, y, x_val, ... as they stand in the HDF5 file, windows cut, validation split taken off."""
    names = ("x", "y", "x_val", "y_val", "x_test", "y_test")
    with h5py.File(spec.dataset.path) as file:

        def read(name: Any) -> Any:
            if isinstance(name, dict):
                return {key: read(part) for key, part in name.items()}
            return None if name is None else file[name][()]

        found = {name: read(getattr(spec.dataset, name)) for name in names}
    if spec.dataset.windows:
        found["x"], found["y"] = cut(found["x"], spec.dataset.windows.length)
    if spec.validation_split:
        rows = len(tf.nest.flatten(found["x"])[0])
        kept = int(rows * (1 - spec.validation_split))
        for name in ("x", "y"):
            whole = found[name]
            found[name] = tf.nest.map_structure(lambda a: a[:kept], whole)
            found[f"{name}_val"] = tf.nest.map_structure(lambda a: a[kept:], whole)
    return found


def cut(series: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    starts = range(len(series) - length)
    return np.stack([series[i : i + length] for i in starts]), series[length:]


class Start(keras.callbacks.Callback):
    """Sets the dropout seeds of an epoch and forgets the RNN states before an epoch and a test."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for index, state in enumerate(states):
            state.assign([mix(self.seed, index), epoch << 24])
        forget(self.model)

    def on_test_begin(self, logs: Any = None) -> None:
        forget(self.model)


def forget(model: keras.Model) -> None:
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            layer.reset_states()


@dataclass
class Plain:
    """What the plain script has in the end."""

    model: keras.Model
    history: dict[str, list[float]]
    scores: dict[str, float]
    predictions: np.ndarray | None


def batches(data: dict[str, Any], spec: JobSpec) -> Iterator[tuple[Any, Any]]:
    rows = len(tf.nest.flatten(data["x"])[0])
    for epoch in range(spec.epochs):
        numbers = order(spec.seed, epoch, rows, is_shuffled=spec.shuffle)
        for start in range(0, rows, spec.batch_size):
            taken = numbers[start : start + spec.batch_size]
            yield tf.nest.map_structure(lambda a, taken=taken: a[taken], (data["x"], data["y"]))


def dataset(data: dict[str, Any], spec: JobSpec) -> tf.data.Dataset:
    """The batches with their size in the type, which a stateful layer needs to see."""
    rows = len(tf.nest.flatten(data["x"])[0])
    size = None if rows % spec.batch_size else spec.batch_size
    signature = tf.nest.map_structure(
        lambda a: tf.TensorSpec((size, *a.shape[1:]), a.dtype), (data["x"], data["y"])
    )
    return tf.data.Dataset.from_generator(lambda: batches(data, spec), output_signature=signature)


def fit(spec: JobSpec, compile_arguments: dict[str, Any], callbacks: list[Any]) -> Plain:
    """Build, compile, fit, evaluate and predict."""
    data = arrays(spec)
    config = {k: v for k, v in (spec.model.config or {}).items() if k != "compile_config"}
    keras.utils.set_random_seed(mix(spec.seed, "init"))
    model = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    model.compile(**compile_arguments, jit_compile=False)
    validation = None if data["x_val"] is None else (data["x_val"], data["y_val"])
    rows = len(tf.nest.flatten(data["x"])[0])
    history = model.fit(
        dataset(data, spec),
        shuffle=False,  # the batches come in their order already
        epochs=spec.epochs,
        steps_per_epoch=-(-rows // spec.batch_size),
        validation_data=validation,
        validation_batch_size=spec.batch_size,
        callbacks=[Start(spec.seed), *callbacks],
        verbose=0,
    ).history
    scores, predictions = {}, None
    if data["x_test"] is not None:
        forget(model)
        scores = model.evaluate(
            data["x_test"],
            data["y_test"],
            batch_size=spec.batch_size,
            return_dict=True,
            verbose=0,
        )
        forget(model)
        predictions = model.predict(data["x_test"], batch_size=spec.batch_size, verbose=0)
    return Plain(model, history, {f"test_{k}": v for k, v in scores.items()}, predictions)
