"""LSTM, GRU and SimpleRNN layers of K models at once, with their gradients.

The arithmetic is that of Keras's cells in fewer and larger operations: the products with the inputs
and the gradients of all weights are one product each for all time steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from fitfleet.worker.engines.stacked import gru, simple_rnn
from fitfleet.worker.engines.stacked.vectorized_map import dimension

# The steps are unrolled in the graph; longer sequences are left to Keras's loop.
_MAX_STEPS = 64
_SIGMOID = keras.activations.sigmoid
# The attribute of a tensor for a copy of it with the steps before the batch.
_BY_STEP = "_fitfleet_by_step"
_KNOWN = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def is_known(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether `run` supports this call of the layer."""
    if type(operation) not in _KNOWN or len(args) != 1:
        return False
    if any(value is not None for name, value in kwargs.items() if name != "training"):
        return False
    cell, steps = operation.cell, args[0].shape[2]
    return (
        steps is not None
        and steps <= _MAX_STEPS
        and getattr(args[0], "_keras_mask", None) is None
        and not (operation.stateful or operation.go_backwards or operation.return_state)
        and not (cell.dropout or cell.recurrent_dropout)
        and getattr(cell, "reset_after", True)
        and cell.activation is keras.activations.tanh
        and getattr(cell, "recurrent_activation", _SIGMOID) is _SIGMOID
        and not any((operation.kernel_constraint, operation.recurrent_constraint))
    )


def run(layer: Any, inputs: Any, weights: Sequence[Any]) -> Any:
    """inputs (K, batch, steps, features) -> (K, batch[, steps], units)."""
    kernel, recurrent = weights[0], weights[1]
    inputs = _by_step(tf.cast(inputs, kernel.dtype))
    is_gru = isinstance(layer, keras.layers.GRU)
    zeros = tf.zeros_like(kernel[:, 0])
    zeros = tf.stack([zeros, zeros], 1) if is_gru else zeros
    bias = weights[2] if len(weights) > 2 else zeros
    outputs = _FORMS[type(layer)](inputs, kernel, recurrent, bias)
    if not layer.return_sequences:
        return outputs[-1]
    stacked = tf.stack(outputs, 2)
    # TensorFlow removes the one of the two that is not used.
    setattr(stacked, _BY_STEP, tf.stack(outputs, 1))
    return stacked


def _by_step(inputs: Any) -> Any:
    """Inputs as (K, steps, batch, features); those of another such layer are not transposed."""
    by_step = getattr(inputs, _BY_STEP, None)
    return tf.transpose(inputs, (0, 2, 1, 3)) if by_step is None else by_step


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _lstm(inputs: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """inputs (K, steps, batch, features), bias (K, 4 units) -> a list of (K, batch, units)."""
    steps, features = inputs.shape[1], dimension(inputs, 3)
    count, batch = tf.shape(inputs)[0], tf.shape(inputs)[2]
    units = dimension(recurrent, 1)
    rows = tf.reshape(inputs, (count, steps * batch, features))
    projected = tf.matmul(rows, kernel) + bias[:, None]
    projected = tf.unstack(tf.reshape(projected, (count, steps, batch, 4 * units)), axis=1)
    state = carry = tf.zeros((count, batch, units), inputs.dtype)
    outputs, kept = [], []
    for step in range(steps):
        gates = projected[step] + tf.matmul(state, recurrent) if step else projected[step]
        i, f, g, o = tf.split(gates, 4, axis=-1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        before = carry
        carry = f * before + i * g if step else i * g
        bent = tf.tanh(carry)
        state = o * bent
        outputs.append(state)
        kept.append((i, f, g, o, before, bent))

    def gradient(*upstream: Any) -> Any:
        flows = _backward(upstream, kept, recurrent)
        flow = tf.reshape(tf.stack(flows, 1), (count, steps * batch, 4 * units))
        states = tf.stack([tf.zeros_like(outputs[0]), *outputs[:-1]], 1)
        states = tf.reshape(states, (count, steps * batch, units))
        to_inputs = tf.reshape(tf.matmul(flow, kernel, transpose_b=True), tf.shape(inputs))
        to_kernel = tf.matmul(rows, flow, transpose_a=True)
        to_recurrent = tf.matmul(states, flow, transpose_a=True)
        return to_inputs, to_kernel, to_recurrent, tf.reduce_sum(flow, 1)

    return outputs, gradient


def _backward(upstream: Sequence[Any], kept: Sequence[Any], recurrent: Any) -> list[Any]:
    """Gradients of the gates before their activations, (K, batch, 4 units) for each step."""
    flows: list[Any] = []
    to_state = to_carry = None
    for step in reversed(range(len(kept))):
        i, f, g, o, before, bent = kept[step]
        state = upstream[step] if to_state is None else upstream[step] + to_state
        carry = tf.raw_ops.TanhGrad(y=bent, dy=state * o)
        carry = carry if to_carry is None else carry + to_carry
        flow = tf.concat(
            [
                tf.raw_ops.SigmoidGrad(y=i, dy=carry * g),
                tf.raw_ops.SigmoidGrad(y=f, dy=carry * before),
                tf.raw_ops.TanhGrad(y=g, dy=carry * i),
                tf.raw_ops.SigmoidGrad(y=o, dy=state * bent),
            ],
            axis=-1,
        )
        flows.append(flow)
        if step:
            to_state = tf.matmul(flow, recurrent, transpose_b=True)
            to_carry = carry * f
    return flows[::-1]


_FORMS = dict(zip(_KNOWN, (_lstm, gru.run, simple_rnn.run), strict=True))
