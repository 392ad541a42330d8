"""GRU layers of K models at once, with their gradient, as for LSTMs.

Keras's `reset_after=True`: the reset gate acts on the product with the recurrent kernel, so that
one product gives all three gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.stacked.vectorized_map import dimension


@tf.custom_gradient  # type: ignore[untyped-decorator]
def run(inputs: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """inputs (K, steps, batch, features), bias (K, 2, 3 units) -> a list of (K, batch, units)."""
    steps, features = inputs.shape[1], dimension(inputs, 3)
    count, batch = tf.shape(inputs)[0], tf.shape(inputs)[2]
    units = dimension(recurrent, 1)
    rows = tf.reshape(inputs, (count, steps * batch, features))
    projected = tf.matmul(rows, kernel) + bias[:, None, 0]
    projected = tf.unstack(tf.reshape(projected, (count, steps, batch, 3 * units)), axis=1)
    state = tf.zeros((count, batch, units), inputs.dtype)
    outputs, kept = [], []
    for step in range(steps):
        inner = tf.matmul(state, recurrent) + bias[:, None, 1]
        x_z, x_r, x_h = tf.split(projected[step], 3, axis=-1)
        h_z, h_r, h_h = tf.split(inner, 3, axis=-1)
        z, r = tf.sigmoid(x_z + h_z), tf.sigmoid(x_r + h_r)
        candidate = tf.tanh(x_h + r * h_h)
        before = state
        state = z * before + (1 - z) * candidate
        outputs.append(state)
        kept.append((z, r, candidate, h_h, before))

    def gradient(*upstream: Any) -> Any:
        from_inputs, from_states = _backward(upstream, kept, recurrent)
        shape = (count, steps * batch, 3 * units)
        to_projected = tf.reshape(tf.stack(from_inputs, 1), shape)
        to_inner = tf.reshape(tf.stack(from_states, 1), shape)
        states = tf.stack([tf.zeros_like(outputs[0]), *outputs[:-1]], 1)
        states = tf.reshape(states, (count, steps * batch, units))
        to_inputs = tf.reshape(tf.matmul(to_projected, kernel, transpose_b=True), tf.shape(inputs))
        to_kernel = tf.matmul(rows, to_projected, transpose_a=True)
        to_recurrent = tf.matmul(states, to_inner, transpose_a=True)
        to_bias = tf.stack([tf.reduce_sum(to_projected, 1), tf.reduce_sum(to_inner, 1)], 1)
        return to_inputs, to_kernel, to_recurrent, to_bias

    return outputs, gradient


def _backward(
    upstream: Sequence[Any], kept: Sequence[Any], recurrent: Any
) -> tuple[list[Any], list[Any]]:
    """Gradients of the products with inputs and with states, (K, batch, 3 units) for each step."""
    from_inputs: list[Any] = []
    from_states: list[Any] = []
    to_state = None
    for step in reversed(range(len(kept))):
        z, r, candidate, h_h, before = kept[step]
        state = upstream[step] if to_state is None else upstream[step] + to_state
        bent = tf.raw_ops.TanhGrad(y=candidate, dy=state * (1 - z))
        to_z = tf.raw_ops.SigmoidGrad(y=z, dy=state * (before - candidate))
        to_r = tf.raw_ops.SigmoidGrad(y=r, dy=bent * h_h)
        from_inputs.append(tf.concat([to_z, to_r, bent], axis=-1))
        from_states.append(tf.concat([to_z, to_r, bent * r], axis=-1))
        if step:
            to_state = state * z + tf.matmul(from_states[-1], recurrent, transpose_b=True)
    return from_inputs[::-1], from_states[::-1]
