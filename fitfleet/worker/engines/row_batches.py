"""The rows of a step, gathered from their tensors by a separate function.

A step is a call where a model is not known to be computed the same in a loop. What TensorFlow sees
of the rows beside the step's own operations it uses to rewrite these, and so changes their last
bits: that all tensors have as many rows, or where they come from. Keras's iterator shows neither.
These functions are made in milliseconds, so they are not stored with the others.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.programs.functions import Function

_INTEGER = tf.TensorSpec((), tf.int64)


def take_by_order(signature: Any) -> Function:
    """`(order, begin, end, data)`: the rows of each tensor that a part of an order names."""

    def take(order: Any, begin: Any, end: Any, data: Any) -> Any:
        numbers = order[begin:end]
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), data)

    order = tf.TensorSpec((None,), tf.int64)
    return _function(take, order, _INTEGER, _INTEGER, signature)


def take_in_order(signature: Any) -> Function:
    """`(begin, end, data)`: these rows of each tensor; copies, which begin where TensorFlow aligns
    them, as a part of a tensor may not.
    """

    def take(begin: Any, end: Any, data: Any) -> Any:
        numbers = tf.range(begin, end)
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), data)

    return _function(take, _INTEGER, _INTEGER, signature)


def batches(signature: Any, size: int | None) -> Any:
    """What steps are given: tensors of `size` rows, None where the last step has fewer."""
    return tf.nest.map_structure(
        lambda spec: tf.TensorSpec((size, *spec.shape[1:]), spec.dtype), signature
    )


def _function(python: Function, *signature: Any) -> Function:
    traced = tf.function(python, autograph=False, input_signature=signature)
    function: Function = traced.get_concrete_function()
    return function
