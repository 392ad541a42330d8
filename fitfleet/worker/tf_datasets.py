"""Arrays as TensorFlow feeds them, in a tf.data.Dataset of batches."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fitfleet.data.arrays import Arrays
from fitfleet.data.info import flatten
from fitfleet.data.rows.streams import Stream
from fitfleet.errors import SpecError
from fitfleet.spec.job import JobSpec
from fitfleet.worker.keras_private import class_weight_to_sample_weights
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.seeding import order

# An array above this size, such as overlapping windows of a long series, is not made whole.
_WHOLE_BYTES = 4 * 2**30


def training(arrays: Arrays, spec: JobSpec, number: Any, *, whole_bytes: int = _WHOLE_BYTES) -> Any:
    """The batches of one epoch, whose `number` is in this tf.Variable when it is iterated over.

    Passes over the rows follow each other, each in an order by (job seed, pass) alone. An epoch is
    one pass; by `steps_per_epoch` it is the next so many batches, as of a dataset with `repeat()`.
    Elements are (x, y) or (x, y, sample_weight), or x where there are no labels, in the structure
    of the arrays, lists as tuples. Arrays of more than `whole_bytes` together, and streams, are
    read batch by batch.
    """
    parts = _tuples(_batch(_parts(arrays.x, arrays.y, weights(arrays, spec))))
    rows = arrays.rows

    batches = -(-rows // spec.batch_size)  # of a pass
    steps = _steps(spec) or batches

    def one_pass(index: Any) -> Any:
        numbers = order(spec.seed, index, rows) if spec.shuffle else tf.range(rows, dtype=tf.int64)
        # Whole batches have a static size, which stateful layers want to see.
        return tf.data.Dataset.from_tensor_slices(numbers).batch(
            spec.batch_size, drop_remainder=rows % spec.batch_size == 0
        )

    def epoch(_: Any) -> Any:
        # Keras begins with the first pass, whatever the number of the first epoch.
        first = (number - (spec.initial_epoch if spec.steps_per_epoch else 0)) * steps
        passes = tf.data.Dataset.range(first // batches, (first + steps - 1) // batches + 1)
        return passes.flat_map(one_pass).skip(first % batches).take(steps)

    dataset = tf.data.Dataset.range(1).flat_map(epoch)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    dataset = dataset.map(_taker(parts, whole_bytes), num_parallel_calls=1).prefetch(2)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options)


def _steps(spec: JobSpec) -> int:
    """Batches of an epoch by `steps_per_epoch`, in whole calls of `steps_per_execution`; 0: none.

    Keras takes whole calls of a dataset that goes on.
    """
    calls = -(-(spec.steps_per_epoch or 0) // spec.steps_per_execution)
    return calls * spec.steps_per_execution


def weights(arrays: Arrays, spec: JobSpec) -> Any:
    """The sample weights of a fit; those that Keras makes of class weights and arrays of labels,
    1 for a class without one.
    """
    if spec.class_weight is None:
        return arrays.sample_weight
    by_class = {int(key): value for key, value in spec.class_weight.items()}
    blocks = arrays.y.blocks() if isinstance(arrays.y, Stream) else [arrays.y]
    try:
        return np.concatenate([class_weight_to_sample_weights(y, by_class) for y in blocks])
    except (ValueError, TypeError) as error:
        raise SpecError(
            "class_weight", f"goes with one class a row; {explanation(error)}"
        ) from error


def evaluation(
    x: Any, y: Any, weight: Any, batch_size: int, *, whole_bytes: int = _WHOLE_BYTES
) -> Any:
    """Arrays for `evaluate` or `predict`: as they are, or a dataset of batches.

    Batches when they are streamed, texts, or larger than `whole_bytes` together: windows are views
    of their series, which Keras would copy whole.
    """
    parts = _parts(x, y, weight)
    leaves = flatten(list(parts))
    # Keras takes no arrays of text outside of a tf.data.Dataset.
    is_batched = any(isinstance(leaf, Stream) or leaf.dtype.kind == "S" for leaf in leaves)
    if not is_batched and sum(leaf.nbytes for leaf in leaves) <= whole_bytes:
        return parts
    parts = _tuples(_batch(parts))
    rows = len(flatten(x)[0])
    numbers = tf.data.Dataset.range(rows).batch(batch_size, drop_remainder=rows % batch_size == 0)
    return numbers.map(_taker(parts, whole_bytes), num_parallel_calls=1).prefetch(2)


def _parts(x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
    if weight is not None:
        return (x, y, weight)
    return (x,) if y is None else (x, y)


def _batch(parts: tuple[Any, ...]) -> Any:
    """What a batch is: of inputs alone, and no list of them, these themselves, as in `fit`."""
    is_alone = len(parts) == 1 and not isinstance(parts[0], list | tuple)
    return parts[0] if is_alone else parts


def _tuples(part: Any) -> Any:
    """The structure with tuples for lists: tf.data would stack a list into one tensor."""
    if isinstance(part, dict):
        return {name: _tuples(value) for name, value in part.items()}
    return tuple(map(_tuples, part)) if isinstance(part, list | tuple) else part


def _taker(parts: Any, whole_bytes: int) -> Any:
    """A function from row numbers to the batch of these rows."""
    leaves = tf.nest.flatten(parts)
    is_streamed = any(isinstance(leaf, Stream) for leaf in leaves)
    if not is_streamed and sum(leaf.nbytes for leaf in leaves) <= whole_bytes:
        whole = tf.nest.map_structure(tf.constant, parts)
        return lambda numbers: as_floatx(
            tf.nest.map_structure(lambda t: tf.gather(t, numbers), whole)
        )

    def read(numbers: Any) -> list[Any]:
        chosen = numbers.numpy()
        return [
            leaf.take(chosen) if isinstance(leaf, Stream) else np.asarray(leaf)[chosen]
            for leaf in leaves
        ]

    def take(numbers: Any) -> Any:
        tensors = tf.py_function(read, [numbers], [tf.as_dtype(leaf.dtype) for leaf in leaves])
        for tensor, leaf in zip(tensors, leaves, strict=True):
            tensor.set_shape((None, *leaf.shape[1:]))
        return as_floatx(tf.nest.pack_sequence_as(parts, tensors))

    return take


def as_floatx(tensors: Any) -> Any:
    """The floats among them cast to Keras's floatx.

    Keras casts those of arrays, but not what comes out of a tf.data.Dataset.
    """
    floatx = tf.as_dtype(keras.config.floatx())
    return tf.nest.map_structure(
        lambda t: tf.cast(t, floatx) if t.dtype.is_floating else t, tensors
    )
