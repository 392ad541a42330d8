"""Models whose metrics are named after layers that Keras has named."""

from __future__ import annotations

from typing import Any

import keras

L = keras.layers
SHARED = L.Dense(2)  # made when the module is imported, under a name of its own


def _head() -> Any:
    inputs = keras.Input((3,))
    return keras.Model(inputs, L.Dense(1)(inputs))


def _twice(x: Any) -> Any:
    return 2.0 * x


def two_outputs() -> Any:
    """Two models inside it, and a Lambda, so that a worker has to make it."""
    inputs = keras.Input((3,))
    doubled = L.Lambda(_twice, output_shape=(3,))(inputs)
    model = keras.Model(inputs, [_head()(doubled), _head()(doubled)])
    model.compile("sgd", ["mse", "mae"])
    return model


def beside_shared() -> Any:
    inputs = keras.Input((3,))
    return keras.Model(inputs, L.Dense(1)(SHARED(inputs)))
