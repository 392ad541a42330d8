"""A user's Keras classes: layers that raise when they are trained, or traced by the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="failing_layers")
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


@keras.saving.register_keras_serializable(package="failing_layers")
class OnlyInFit(keras.layers.Layer):  # type: ignore[misc]
    """Refuses to be traced in a program of fitfleet's own."""

    def call(self, x: Any) -> Any:
        """Gives its input back."""
        if tf.compat.v1.get_default_graph().name.startswith("_train_step"):
            raise RuntimeError("this is not the way of Keras")
        return x


def loopless() -> Any:
    """A model that only Keras's own fit can train."""
    layers = keras.layers
    return keras.Sequential([keras.Input((5, 3)), OnlyInFit(), layers.Flatten(), layers.Dense(1)])


class GivesUp(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a fit with an error after so many epochs, until there is a file of a name."""

    def __init__(self, after: int, until: str = "") -> None:
        super().__init__()
        self.after, self.until = after, until

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Raises."""
        if epoch == self.after and not Path(self.until).is_file():
            raise RuntimeError("enough")
