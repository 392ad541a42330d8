"""Arrays of a dataset as tensors that a traced program gathers its batches from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from fitfleet.data.arrays import Arrays
from fitfleet.data.info import flatten
from fitfleet.spec.job import JobSpec


@dataclass(frozen=True)
class Feed:
    """`data` is (x,), (x, y) or (x, y, sample_weight) of tensors that begin with `rows` rows."""

    data: tuple[Any, ...]
    rows: int

    @property
    def signature(self) -> tuple[Any, ...]:
        """Its tf.TensorSpecs, the number of rows left open."""
        return tuple(tf.nest.map_structure(_row_spec, self.data))

    @property
    def description(self) -> str:
        """Structure, dtypes and shapes without the rows; equal for feeds of one program."""
        return repr(self.signature)


def nbytes(arrays: Arrays) -> int:
    """Size of the training arrays as tensors."""
    parts = (arrays.x, arrays.y, arrays.sample_weight)
    return sum(leaf.nbytes for part in parts for leaf in flatten(part))


def training(arrays: Arrays, spec: JobSpec) -> Feed:
    """What the fit trains on; class weights become sample weights, as Keras makes them."""
    parts = _tensors(arrays.x, arrays.y, arrays.sample_weight)
    if spec.class_weight is not None:
        from keras.src.trainers.data_adapters import tf_dataset_adapter

        weights = {int(key): value for key, value in spec.class_weight.items()}
        parts = tf_dataset_adapter.make_class_weight_map_fn(weights)(*parts)
    return Feed(parts, arrays.rows)


def validation(arrays: Arrays) -> Feed | None:
    """What is validated on after each epoch, in the order it is in."""
    if arrays.x_val is None:
        return None
    import keras

    parts = _tensors(arrays.x_val, arrays.y_val, arrays.sample_weight_val)
    floatx = tf.as_dtype(keras.config.floatx())
    # Keras casts arrays to its floatx, but not what comes out of a tf.data.Dataset.
    cast = tf.nest.map_structure(lambda t: tf.cast(t, floatx) if t.dtype.is_floating else t, parts)
    return Feed(cast, int(tf.nest.flatten(cast)[0].shape[0]))


def _tensors(x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
    parts = (x,) if y is None else (x, y) if weight is None else (x, y, weight)
    return tuple(_tensor(part) for part in parts)


def _tensor(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _tensor(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return tuple(_tensor(value) for value in part)
    return tf.constant(np.asarray(part))


def _row_spec(tensor: Any) -> Any:
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)
