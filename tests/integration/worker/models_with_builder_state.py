"""Models whose builder says more than a config can: the weights they begin with, and their loss."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

L = keras.layers


@keras.saving.register_keras_serializable(package="models_with_builder_state")
class Drawn(L.Layer):
    """Keeps no initialiser for its weight, as of many layers in examples."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="random_normal")

    def call(self, x: Any) -> Any:
        return x * self.scale


def drawn() -> Any:
    model = keras.Sequential([keras.Input((3,)), Drawn(), L.Dense(1)])
    model.compile("sgd", "mse")
    return model


class Subclassed(keras.Model):
    """A model of its own class around one Dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.network = keras.Sequential([keras.Input((3,)), L.Dense(1)])

    def call(self, x: Any) -> Any:
        return self.network(x)


class Calling(Subclassed):
    """A train_step that calls the loss that `compile` was given."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.loss(y, self(x, training=True))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"distance": loss}


def calling() -> Any:
    model = Calling()
    model.compile("sgd", keras.losses.MeanAbsoluteError())
    return model


class Counting(Subclassed):
    """Its step takes the values themselves, so it cannot be compiled."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        weight = float(x.numpy().max())
        return super().train_step((x, y * weight))


def counting() -> Any:
    model = Counting()
    model.compile("sgd", "mse", run_eagerly=True)
    return model
