"""The rows of a step, gathered from the tensors of a feed by a separate function.

A step is a call if the model is not proven to have the same numbers in a loop. If the rows were
gathered in the same function, TensorFlow would use what it knows of them (that all tensors have as
many rows, or their source) to rewrite the step, and so change its last bits; Keras's iterator hides
both. These functions are traced in milliseconds, so they are not stored with the others.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.programs.functions import Function

_INTEGER = tf.TensorSpec((), tf.int64)


def take_by_order(signature: Any) -> Function:
    """A function (order, begin, end, data) to the rows `order[begin:end]` of each tensor."""

    def take(order: Any, begin: Any, end: Any, data: Any) -> Any:
        numbers = order[begin:end]
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), data)

    order = tf.TensorSpec((None,), tf.int64)
    return _function(take, order, _INTEGER, _INTEGER, signature)


def take_in_order(signature: Any) -> Function:
    """A function (begin, end, data) to the rows from `begin` to `end` of each tensor.

    They are copies, which TensorFlow aligns in memory, as it may not a slice.
    """

    def take(begin: Any, end: Any, data: Any) -> Any:
        numbers = tf.range(begin, end)
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), data)

    return _function(take, _INTEGER, _INTEGER, signature)


def batches(signature: Any, size: int | None) -> Any:
    """The signature of a batch: tensors of `size` rows, None if the last batch has fewer."""
    return tf.nest.map_structure(
        lambda spec: tf.TensorSpec((size, *spec.shape[1:]), spec.dtype), signature
    )


def integer(value: int) -> Any:
    """A scalar int64 tensor."""
    return tf.constant(value, tf.int64)


def _function(python: Function, *signature: Any) -> Function:
    traced = tf.function(python, autograph=False, input_signature=signature)
    function: Function = traced.get_concrete_function()
    return function
