"""A user's Keras layer that raises when it is trained."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="moody")
class Moody(keras.layers.Layer):  # type: ignore[misc]
    """Gives its input back, or raises."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Nothing is wrong before the training."""
        if training:
            raise RuntimeError("the layer is in no mood.\nTry again tomorrow.")
        return x


def model() -> Any:
    """A model whose training raises."""
    layers = keras.layers
    return keras.Sequential([keras.Input((5, 3)), Moody(), layers.Flatten(), layers.Dense(1)])
