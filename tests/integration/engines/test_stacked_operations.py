"""The operations that stacks are made of: none of those that a CPU takes long for."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from fitfleet.worker.engines.stacked import convolutions, rnn, vectorized_map

L = keras.layers


def traced(function: Callable[..., Any], *arguments: Any) -> tuple[set[str], Any]:
    """The kinds of its operations, and its result."""
    made = tf.function(function, autograph=False)
    result = made(*arguments)
    concrete = made.get_concrete_function(*arguments)
    return {operation.type for operation in concrete.graph.get_operations()}, result


@pytest.mark.parametrize(
    "channels", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 6))]
)
@pytest.mark.parametrize(
    "layer",
    [
        L.Conv2D(5, (3, 2), padding="same"),
        L.Conv2D(3, 2, dilation_rate=2, use_bias=False),
        L.Conv1D(3, 3, activation="relu"),
        L.Conv1D(3, 3, strides=2),
    ],
    ids=lambda layer: layer.name,
)
def test_a_convolution_of_a_stack_and_its_gradient_are_those_of_each(
    layer: Any, channels: int
) -> None:
    numbers = np.random.default_rng(0)
    size = (8, 7) if isinstance(layer, L.Conv2D) else (8,)
    inputs = tf.constant(numbers.normal(size=(3, 4, *size, channels)))
    kernel = tf.constant(numbers.normal(size=(3, *layer.kernel_size, channels, layer.filters)))
    bias = tf.constant(numbers.normal(size=(3, layer.filters))) if layer.use_bias else None
    given = [tensor for tensor in (inputs, kernel, bias) if tensor is not None]

    def of_the_stack(*given: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(given)
            outputs = convolutions.run(layer, given[0], given[1], *(given[2:] or [None]))
            loss = tf.reduce_sum(outputs**2)
        return outputs, tape.gradient(loss, given)

    kinds, (outputs, gradients) = traced(of_the_stack, *given)
    is_plain = set(layer.strides) == {1}
    assert ("StridedSliceGrad" in kinds) == (not is_plain)
    for member in range(3):
        x, *weights = [tensor[member] for tensor in given]
        with tf.GradientTape() as tape:
            tape.watch([x, *weights])
            alone = keras.ops.conv(
                x, weights[0], layer.strides, layer.padding, dilation_rate=layer.dilation_rate
            )
            alone = layer.activation(alone + weights[1] if len(weights) > 1 else alone)
            loss = tf.reduce_sum(alone**2)
        np.testing.assert_allclose(outputs[member], alone, rtol=1e-10, atol=1e-10)
        for actual, expected in zip(gradients, tape.gradient(loss, [x, *weights]), strict=True):
            np.testing.assert_allclose(actual[member], expected, rtol=1e-10, atol=1e-10)


def test_rows_of_a_sparse_gradient_are_added_as_tensorflow_adds_them() -> None:
    numbers = np.random.default_rng(0)
    values = tf.constant(numbers.normal(size=(3, 4, 10, 7)).astype("float32"))
    rows = tf.constant(numbers.integers(0, 12, (3, 4, 10)))
    one = lambda given: tf.math.unsorted_segment_sum(given[0], given[1], 12)  # noqa: E731

    kinds, ours = traced(lambda *given: vectorized_map.mapped(one, given), values, rows)
    kinds_of_tensorflow, theirs = traced(lambda *given: tf.vectorized_map(one, given), values, rows)
    assert np.array_equal(ours, theirs)
    assert "ScatterNd" in kinds
    assert "ScatterNd" not in kinds_of_tensorflow  # others have its own form


def test_between_recurrent_layers_the_steps_stay_before_the_batch() -> None:
    numbers = np.random.default_rng(0)
    layers = [L.LSTM(5, return_sequences=True), L.GRU(5, return_sequences=True), L.LSTM(5)]
    inputs = tf.constant(numbers.normal(size=(3, 4, 6, 5)))
    weights = []
    for layer in layers:
        layer.build((None, 6, 5))
        weights.append([tf.constant(numbers.normal(size=(3, *v.shape))) for v in layer.variables])

    def run(*weights: Any, is_direct: bool) -> Any:
        passed = inputs
        for layer, own in zip(layers, weights, strict=True):
            passed = rnn.run(layer, passed, own[:3])
            passed = passed if is_direct else tf.identity(passed)  # a tensor without the other
        return passed

    direct = run(*weights, is_direct=True)
    assert np.array_equal(direct, run(*weights, is_direct=False))
    made = tf.function(lambda *given: run(*given, is_direct=True), autograph=False)
    graph = made.get_concrete_function(*weights).graph
    assert [o.type for o in graph.get_operations()].count("Transpose") == 1
