"""SimpleRNN layers of K models at once, with their gradient, as for LSTMs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.stacked.vectorized_map import dimension


@tf.custom_gradient  # type: ignore[untyped-decorator]
def run(inputs: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """inputs (K, steps, batch, features), bias (K, units) -> a list of (K, batch, units)."""
    steps, features = inputs.shape[1], dimension(inputs, 3)
    count, batch = tf.shape(inputs)[0], tf.shape(inputs)[2]
    units = dimension(recurrent, 1)
    rows = tf.reshape(inputs, (count, steps * batch, features))
    projected = tf.matmul(rows, kernel) + bias[:, None]
    projected = tf.unstack(tf.reshape(projected, (count, steps, batch, units)), axis=1)
    outputs: list[Any] = []
    for step in range(steps):
        before = projected[step]
        outputs.append(tf.tanh(before + tf.matmul(outputs[-1], recurrent) if step else before))

    def gradient(*upstream: Any) -> Any:
        flow = tf.stack(_backward(upstream, outputs, recurrent), 1)
        flow = tf.reshape(flow, (count, steps * batch, units))
        states = tf.stack([tf.zeros_like(outputs[0]), *outputs[:-1]], 1)
        states = tf.reshape(states, (count, steps * batch, units))
        to_inputs = tf.reshape(tf.matmul(flow, kernel, transpose_b=True), tf.shape(inputs))
        to_kernel = tf.matmul(rows, flow, transpose_a=True)
        to_recurrent = tf.matmul(states, flow, transpose_a=True)
        return to_inputs, to_kernel, to_recurrent, tf.reduce_sum(flow, 1)

    return outputs, gradient


def _backward(upstream: Any, outputs: list[Any], recurrent: Any) -> list[Any]:
    """Gradients before the activation, (K, batch, units) for each step."""
    flows: list[Any] = []
    for step in reversed(range(len(outputs))):
        state = upstream[step]
        if flows:
            state = state + tf.matmul(flows[-1], recurrent, transpose_b=True)
        flows.append(tf.raw_ops.TanhGrad(y=outputs[step], dy=state))
    return flows[::-1]
