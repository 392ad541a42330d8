"""Keras's optimizers for K models at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.stacked.graph import Stack


@contextmanager
def stateless(optimizer: Any) -> Iterator[None]:
    """Within, the optimizer works on Keras's variables in a StatelessScope.

    The TensorFlow backend replaces some methods by ones that know tf.distribute and write into
    tf.Variables at once. Here each concrete class gets the backend-neutral ones back, wherever
    it has none of its own.
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
    # Derived from TFOptimizer the mixin comes just before it, after the concrete class.
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

    `state` are the trained variables and the optimizer's, all that the update may assign.
    """
    trained = optimizer._trainable_variables
    present = [g is not None for g in gradients]
    packed = [g for g in gradients if g is not None]

    def update(given: Any) -> tuple[()]:
        remaining = iter(given)
        pairs = [
            _gradient(next(remaining), variable) if is_there else None
            for variable, is_there in zip(trained, present, strict=True)
        ]
        optimizer.apply(pairs)
        return ()

    with _sparse_division():
        stack.mapped(update, state, packed)


@contextmanager
def _sparse_division() -> Iterator[None]:
    """Keras's division of a sparse gradient, without its search for zeros among the divisors.

    The number of zeros would be another shape for each model. Optimizers divide by roots of sums
    with an epsilon, so there are none unless the model is lost to NaN already.
    """
    from fitfleet.worker.keras_private import backend_numpy as backend

    whole = backend.divide

    def divide(x1: Any, x2: Any) -> Any:
        is_sparse = isinstance(x1, tf.IndexedSlices) and not isinstance(x2, tf.IndexedSlices)
        if not is_sparse or not len(getattr(x2, "shape", ())):
            return whole(x1, x2)
        values = whole(x1.values, tf.gather(x2, x1.indices))
        return tf.IndexedSlices(values, x1.indices, x1.dense_shape)

    backend.divide = divide
    try:
        yield
    finally:
        backend.divide = whole


def _gradient(gradient: Any, variable: Any) -> Any:
    if isinstance(gradient, tuple | list):
        rows, values = gradient
        return tf.IndexedSlices(values, rows, tf.shape(variable.value, tf.int64))
    return gradient
