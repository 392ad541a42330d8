"""Keras's optimizers for K models at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.stacked.graph import Stack


@contextmanager
def stateless(optimizer: Any) -> Iterator[None]:
    """A context in which the optimizer updates Keras's variables of a StatelessScope.

    Keras's TensorFlow backend overrides some methods with ones that use tf.distribute and assign
    tf.Variables directly. Here the optimizer has the backend-neutral methods again, except where
    its class overrides them itself.
    """
    from fitfleet.worker.keras_private import BY_VARIABLE, BaseOptimizer, TFOptimizer

    neutral = {
        name: vars(BaseOptimizer)[name]
        for name, function in vars(TFOptimizer).items()
        if callable(function)
        and not name.startswith("__")
        and name in vars(BaseOptimizer)
        and name != "_clip_by_norm"
    }
    keras_class = type(optimizer)
    # As it derives from TFOptimizer, the mixin is just before it in the MRO, after the class.
    mixin = type("Stateless", (TFOptimizer,), neutral)
    tables = {name: getattr(optimizer, name) for name in BY_VARIABLE if hasattr(optimizer, name)}
    keys = [optimizer._var_key(v) for v in optimizer._trainable_variables]
    optimizer.__class__ = type(f"Stateless{keras_class.__name__}", (keras_class, mixin), {})
    try:
        neutral_keys = [optimizer._var_key(v) for v in optimizer._trainable_variables]
        for name, table in tables.items():
            values = [table[key] for key in keys]
            setattr(optimizer, name, dict(zip(neutral_keys, values, strict=True)))
        yield
    finally:
        optimizer.__class__ = keras_class
        for name, table in tables.items():
            setattr(optimizer, name, table)


def apply(optimizer: Any, stack: Stack, state: Sequence[Any], gradients: Sequence[Any]) -> None:
    """One update of every model. `gradients` are (K, ...) tensors, None, or (rows, values).

    `state` are the variables that the update may assign: the trained ones and the optimizer's.
    """
    trained = optimizer._trainable_variables
    present = [g is not None for g in gradients]
    packed = [g for g in gradients if g is not None]

    def update(gradients_of_model: Any) -> tuple[()]:
        remaining = iter(gradients_of_model)
        pairs = [
            _gradient(next(remaining), variable) if is_present else None
            for variable, is_present in zip(trained, present, strict=True)
        ]
        optimizer.apply(pairs)
        return ()

    with _sparse_division():
        stack.mapped(update, state, packed)


@contextmanager
def _sparse_division() -> Iterator[None]:
    """A context in which Keras divides a sparse gradient without searching the divisors for zeros.

    The number of zeros, which is a shape, would differ between models. Optimizers divide by roots
    of sums with an epsilon, so there are none unless values are NaN already.
    """
    from fitfleet.worker.keras_private import backend_numpy as backend

    keras_divide = backend.divide

    def divide(x1: Any, x2: Any) -> Any:
        is_sparse = isinstance(x1, tf.IndexedSlices) and not isinstance(x2, tf.IndexedSlices)
        if not is_sparse or not len(getattr(x2, "shape", ())):
            return keras_divide(x1, x2)
        values = keras_divide(x1.values, tf.gather(x2, x1.indices))
        return tf.IndexedSlices(values, x1.indices, x1.dense_shape)

    backend.divide = divide
    try:
        yield
    finally:
        backend.divide = keras_divide


def _gradient(gradient: Any, variable: Any) -> Any:
    if isinstance(gradient, tuple | list):
        rows, values = gradient
        return tf.IndexedSlices(values, rows, tf.shape(variable.value, tf.int64))
    return gradient
