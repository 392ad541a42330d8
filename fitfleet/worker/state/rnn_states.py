"""The states of stateful recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def rnn_states(model: Any) -> list[Any]:
    """The state variables of the stateful recurrent layers, in the model's order."""
    import keras
    import tensorflow as tf

    states: list[Any] = []
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful and layer.states is not None:
            states += tf.nest.flatten(layer.states)
    return states


def reset_rnn_states(model: Any) -> None:
    """Zero the states of stateful recurrent layers."""
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            layer.reset_states()


@contextmanager
def rnn_states_kept(model: Any) -> Iterator[None]:
    """Whatever happens inside, a stateful model has the states it had before afterwards."""
    before = [(state, state.numpy()) for state in rnn_states(model)]
    try:
        yield
    finally:
        for state, value in before:
            state.assign(value)
