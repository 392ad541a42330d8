"""The variables of K models in a stack, and the model that callbacks get for one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fitfleet.worker.engines.traced.fresh_state import assign


class StackState:
    """One tensor (K, ...) for each variable; rows are read and written as NumPy arrays."""

    def __init__(self, variables: Sequence[Any], rows: Sequence[Sequence[Any]]) -> None:
        """`rows[k]` are the values of model k, in the order of the variables."""
        self._index = {id(v): i for i, v in enumerate(variables)}
        self._variables = list(variables)
        self._tensors: list[Any] = [
            tf.constant(np.stack([np.asarray(row[i]) for row in rows]), v.value.dtype)
            for i, v in enumerate(variables)
        ]
        self._written: dict[int, np.ndarray] = {}

    @property
    def tensors(self) -> list[Any]:
        """All tensors, with the values that were set."""
        for i, array in self._written.items():
            self._tensors[i] = tf.constant(array)
        self._written.clear()
        return self._tensors

    @tensors.setter
    def tensors(self, values: Sequence[Any]) -> None:
        self._tensors = list(values)

    def get(self, variable: Any, row: int) -> np.ndarray:
        """A variable's value in one model."""
        i = self._index[id(variable)]
        array = self._written.get(i)
        # A view: `numpy()` would copy the values of all K models.
        value: np.ndarray = np.asarray(self._tensors[i] if array is None else array)[row]
        return value

    def set(self, variable: Any, row: int, value: Any) -> None:
        """Set a variable of one model."""
        i = self._index[id(variable)]
        if i not in self._written:
            self._written[i] = np.array(self._tensors[i])
        self._written[i][row] = value

    def load(self, row: int) -> None:
        """Assign the values of one model to the Keras variables."""
        for variable in self._variables:
            assign(variable, self.get(variable, row))

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all other models."""
        chosen = tf.constant(list(rows), tf.int32)
        self._tensors = [tf.gather(tensor, chosen) for tensor in self.tensors]


class RowModel:
    """One model of the stack for callbacks: weights, learning rate, stop_training."""

    def __init__(self, model: Any, state: Callable[[], StackState], row: int) -> None:
        """`state` returns the stack, which is created when the first epoch begins."""
        self._model, self._stack, self.row = model, state, row
        self.stop_training = False
        self.optimizer = RowOptimizer(self)

    @property
    def _state(self) -> StackState:
        return self._stack()

    @property
    def metrics(self) -> list[Any]:
        """Keras's metric objects, from which callbacks tell whether higher is better."""
        metrics: list[Any] = self._model.metrics
        return metrics

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights, in Keras's order."""
        return [np.array(self._state.get(v, self.row)) for v in self._model.weights]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """The inverse of `get_weights`."""
        for variable, value in zip(self._model.weights, weights, strict=True):
            self._state.set(variable, self.row, value)


class RowOptimizer:
    """The learning rate of one model."""

    def __init__(self, owner: RowModel) -> None:
        self._owner = owner

    @property
    def learning_rate(self) -> Any:
        """The current value: a constant that may be set, or that of the schedule."""
        owner = self._owner
        rate = owner._model.optimizer._learning_rate
        if isinstance(rate, keras.Variable):
            return owner._state.get(rate, owner.row)
        return rate(owner._state.get(owner._model.optimizer.iterations, owner.row))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        owner = self._owner
        rate = owner._model.optimizer._learning_rate
        if not isinstance(rate, keras.Variable):
            raise TypeError("the learning rate follows a schedule, so it cannot be set")
        owner._state.set(rate, owner.row, value)
