"""Variables assigned without Keras's checks hold what Keras's own `assign` would leave in them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from fitfleet.worker.engines.traced.fresh_state import assign


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "uint32", "bool"]
)
@pytest.mark.parametrize("shape", [(), (2,), (3, 4)])
def test_a_variable_holds_the_bits_that_keras_would_assign(
    dtype: str, shape: tuple[int, ...]
) -> None:
    value = np.random.default_rng(1).normal(size=shape) * 100
    ours, keras_own = (
        keras.Variable(np.zeros(shape), dtype=dtype, trainable=False) for _ in range(2)
    )
    value = value.astype(ours.value.dtype.as_numpy_dtype)
    assign(ours, value)
    keras_own.assign(value)
    assert ours.value.dtype == keras_own.value.dtype
    assert np.asarray(ours.value).tobytes() == np.asarray(keras_own.value).tobytes()


def test_training_leaves_the_values_that_were_assigned_as_they_were() -> None:
    # A variable that shared the array's memory would be trained in it.
    value = np.ones((256, 256), "float32")
    variable = keras.Variable(np.zeros((256, 256)), dtype="float32")
    assign(variable, value)
    variable.value.assign_add(tf.fill((256, 256), 2.0))
    assert (value == 1).all()
    assert (np.asarray(variable.value) == 3).all()


def test_every_replica_of_a_mirrored_variable_is_assigned() -> None:
    devices = tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    with strategy.scope():
        variable = keras.Variable(np.zeros(3), dtype="float32")
    assert isinstance(variable.value, tf.distribute.DistributedValues)
    assign(variable, np.ones(3, "float32"))
    for replica in strategy.experimental_local_results(variable.value):
        np.testing.assert_array_equal(replica, np.ones(3))
