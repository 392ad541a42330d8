"""`tf.vectorized_map` as stacks need it: no copy of what is mapped over, and more operations.

TensorFlow's own function cuts each slice out by a gather, whose gradient is a scatter. Here the
slices are told to the conversion as what they are, rows of the stacked tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from fitfleet.worker.keras_private import pfor

# TensorFlow has no form of these for many seeds at once: they run one after the other.
_ONE_BY_ONE = (
    "StatelessRandomGetKeyCounter",
    "StatelessRandomNormalV2",
    "StatelessRandomUniformIntV2",
    "StatelessRandomUniformV2",
    "StatelessTruncatedNormalV2",
)


def mapped(function: Callable[[Any], Any], stacked: Any) -> Any:
    """`function` of each row of nested tensors (K, ...), its results stacked again.

    Only inside a traced function. ValueError for an operation that cannot be vectorised.
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
    with _own_conversions():
        return tf.nest.pack_sequence_as(outputs, [conversion.convert(leaf) for leaf in results])


def dimension(tensor: Any, axis: int) -> Any:
    """Of a tensor: a number where the trace knows it, a tensor where it was left open."""
    known = tensor.shape[axis]
    return tf.shape(tensor)[axis] if known is None else known


def register() -> None:
    """Teach the conversion what it does not know."""
    known = pfor._pfor_converter_registry
    if "Bitcast" not in known:
        pfor.RegisterPFor("Bitcast")(_bitcast)
    for name in _ONE_BY_ONE:
        if name not in known:
            pfor.RegisterPFor(name)(_one_by_one)


def _bitcast(call: Any) -> Any:
    """Element by element, if the types have one size. Keras's argmax looks at sign bits."""
    return pfor.wrap(
        tf.raw_ops.Bitcast(input=call.stacked_input(0), type=call.get_attr("type")), True
    )


def _one_by_one(call: Any) -> Any:
    return pfor._fallback_converter(call, warn=False)


@contextmanager
def _own_conversions() -> Iterator[None]:
    """Within, a form of our own instead of one that TensorFlow has and others may rely on."""
    known, name = pfor._pfor_converter_registry, "UnsortedSegmentSum"
    before = known[name]
    known[name] = _segment_sum
    try:
        yield
    finally:
        known[name] = before


def _segment_sum(call: Any) -> Any:
    """By ScatterNd, which adds in the same order. On a CPU it takes a third of the time.

    It refuses a negative number, which the sum would leave out; gathers by it have failed by then.
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
