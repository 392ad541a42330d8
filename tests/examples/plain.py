"""The same fit as a plain Keras script: the documented seeds and order, and nothing of fitfleet's.

Written from docs/explanation/same-result.md, not from the worker's code, so that the two check
each other. Only the model's config comes from the job, since a model built by hand may draw its
initial weights in another order than one built from its config.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pandas as pd
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
    if spec.dataset.path.endswith(".csv"):
        columns = table(spec)
        return split(spec, {**dict.fromkeys(names), **columns})
    with h5py.File(spec.dataset.path) as file:

        def read(name: Any) -> Any:
            if isinstance(name, dict):
                return {key: read(part) for key, part in name.items()}
            if isinstance(name, list | tuple):
                return tuple(read(part) for part in name)
            return None if name is None else file[name][()]

        columns = {name: read(getattr(spec.dataset, name)) for name in names}
        if spec.dataset.sample_weight:
            columns["sample_weight"] = read(spec.dataset.sample_weight)
    if spec.dataset.windows:
        columns["x"], columns["y"] = cut(columns["x"], spec.dataset.windows.length)
    return split(spec, columns)


def table(spec: JobSpec) -> dict[str, Any]:
    """The columns of a CSV file; words as their places in the job's list of them."""
    frame = pd.read_csv(spec.dataset.path)
    for name, words in spec.dataset.categories.items():
        frame[name] = [words.index("" if pd.isna(word) else word) for word in frame[name]]

    def read(name: Any) -> Any:
        if isinstance(name, dict):
            return {key: read(part) for key, part in name.items()}
        column = frame[name].to_numpy()
        return column.astype("float32") if column.dtype.kind == "f" else column

    return {"x": read(spec.dataset.x), "y": read(spec.dataset.y)}


def split(spec: JobSpec, parts: dict[str, Any]) -> dict[str, Any]:
    """The last rows for validation."""
    if spec.validation_split:
        rows = len(tf.nest.flatten(parts["x"])[0])
        kept = int(rows * (1 - spec.validation_split))
        for name in ("x", "y"):
            whole = parts[name]
            parts[name] = tf.nest.map_structure(lambda a: a[:kept], whole)
            parts[f"{name}_val"] = tf.nest.map_structure(lambda a: a[kept:], whole)
    return parts


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
            yield tf.nest.map_structure(lambda a, taken=taken: a[taken], given(data))


def given(data: dict[str, Any]) -> tuple[Any, ...]:
    """What a batch holds: x and y, or x alone, and sample weights if there are some."""
    parts = (data["x"], data["y"], data.get("sample_weight"))
    return tuple(part for part in parts if part is not None)


def dataset(data: dict[str, Any], spec: JobSpec) -> tf.data.Dataset:
    """The batches with their size in the type, which a stateful layer needs to see."""
    rows = len(tf.nest.flatten(data["x"])[0])
    size = None if rows % spec.batch_size else spec.batch_size
    signature = tf.nest.map_structure(
        lambda a: tf.TensorSpec((size, *a.shape[1:]), a.dtype), given(data)
    )
    made = tf.data.Dataset.from_generator(lambda: batches(data, spec), output_signature=signature)
    if len(signature) > 1 or isinstance(signature[0], tuple | list):
        return made
    return made.map(lambda x: x)  # as Keras's fit gives x alone


def build(spec: JobSpec, start: Path | None) -> keras.Model:
    """The model of the job's seed or builder, with the weights of `start`, frozen layers frozen."""
    keras.utils.set_random_seed(mix(spec.seed, "init"))
    if spec.model.builder is not None:
        module, _, name = spec.model.builder.path.partition(":")
        model = getattr(importlib.import_module(module), name)(**spec.model.builder.arguments)
    else:
        config = {k: v for k, v in (spec.model.config or {}).items() if k != "compile_config"}
        model = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    if start is not None:
        model.load_weights(start)
    for layer in model.layers:
        if any(fnmatch(layer.name, pattern) for pattern in spec.freeze):
            layer.trainable = False
    return model


def fit(
    spec: JobSpec,
    compile_arguments: dict[str, Any] | None,
    callbacks: list[Any],
    start: Path | None = None,
) -> Plain:
    """Build, compile (None: as the builder has), fit, evaluate and predict."""
    data = arrays(spec)
    model = build(spec, start)
    if compile_arguments is None:
        model.jit_compile = False
    else:
        model.compile(**compile_arguments, jit_compile=False)
    validation = None if data["x_val"] is None else (data["x_val"], data["y_val"])
    if validation and any(leaf.dtype.kind == "S" for leaf in tf.nest.flatten(validation)):
        # Keras takes texts in a tf.data.Dataset only.
        validation = tf.data.Dataset.from_tensor_slices(validation).batch(spec.batch_size)
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
