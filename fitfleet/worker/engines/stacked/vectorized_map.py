"""`tf.vectorized_map` for stacks: without copies of its arguments, and for more operations.

TensorFlow's function gathers each slice, and the gradient of that is a scatter. Here the conversion
takes the slices as rows of the stacked tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from fitfleet.worker.keras_private import pfor

# TensorFlow cannot vectorise these over seeds: they run one after the other.
_ONE_BY_ONE = (
    "StatelessRandomGetKeyCounter",
    "StatelessRandomNormalV2",
    "StatelessRandomUniformIntV2",
    "StatelessRandomUniformV2",
    "StatelessTruncatedNormalV2",
)


def mapped(function: Callable[[Any], Any], stacked: Any) -> Any:
    """`function` of each row of nested tensors (K, ...), its results stacked to (K, ...).

    Only inside a traced function. Raises ValueError for an operation that cannot be vectorised.
    """
    register()
    graph = tf.compat.v1.get_default_graph()
    tensors = tf.nest.flatten(stacked)
    before = set(graph.get_operations())
    count = tf.shape(tensors[0])[0]
    number = tf.compat.v1.placeholder_with_default(0, shape=[])
    rows = [tf.gather(tensor, 0) for tensor in tensors]
    outputs = function(tf.nest.pack_sequence_as(stacked, rows))
    results = [tf.convert_to_tensor(leaf) for leaf in tf.nest.flatten(outputs)]
    operations = set(graph.get_operations()) - before
    conversion = pfor.PFor(number, count, operations, fallback_to_while_loop=False)
    for row, tensor in zip(rows, tensors, strict=True):
        conversion._add_conversion(row, pfor.wrap(tensor, True))
    with _replaced_conversions():
        return tf.nest.pack_sequence_as(outputs, [conversion.convert(leaf) for leaf in results])


def dimension(tensor: Any, axis: int) -> Any:
    """The size of an axis: an int if it is known in the trace, else a tensor."""
    size = tensor.shape[axis]
    return tf.shape(tensor)[axis] if size is None else size


def register() -> None:
    """Register conversions that TensorFlow lacks."""
    registry = pfor._pfor_converter_registry
    if "Bitcast" not in registry:
        pfor.RegisterPFor("Bitcast")(_bitcast)
    for name in _ONE_BY_ONE:
        if name not in registry:
            pfor.RegisterPFor(name)(_one_by_one)


def _bitcast(call: Any) -> Any:
    """Element by element, as both dtypes have one size; Keras's argmax reads sign bits."""
    return pfor.wrap(
        tf.raw_ops.Bitcast(input=call.stacked_input(0), type=call.get_attr("type")), True
    )


def _one_by_one(call: Any) -> Any:
    return pfor._fallback_converter(call, warn=False)


@contextmanager
def _replaced_conversions() -> Iterator[None]:
    """A context with a conversion that replaces one of TensorFlow, which others may rely on."""
    registry, name = pfor._pfor_converter_registry, "UnsortedSegmentSum"
    original = registry[name]
    registry[name] = _segment_sum
    try:
        yield
    finally:
        registry[name] = original


def _segment_sum(call: Any) -> Any:
    """By ScatterNd, which adds in the same order. On a CPU it takes a third of the time.

    It refuses negative indices, which the sum would ignore; gathers of them fail before.
    """
    call.stack_inputs([0, 1])
    data, numbers = call.stacked_input(0), tf.cast(call.stacked_input(1), tf.int64)
    rows = tf.cast(call.unstacked_input(2), tf.int64)
    count, rest = tf.shape(numbers, tf.int64)[0], tf.shape(data, tf.int64)[len(numbers.shape) :]
    numbers = tf.reshape(numbers, (count, -1)) + tf.range(count)[:, None] * rows
    sums = tf.scatter_nd(
        tf.reshape(numbers, (-1, 1)),
        tf.reshape(data, tf.concat([[-1], rest], 0)),
        tf.concat([[count * rows], rest], 0),
    )
    return pfor.wrap(tf.reshape(sums, tf.concat([[count, rows], rest], 0)), True)
