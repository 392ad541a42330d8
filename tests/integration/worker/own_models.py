"""Models of a user: one that builds itself at its first batch, one whose step never calls it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

L = keras.layers


class Mlp(keras.Model):
    def __init__(self, hidden: int = 4, **more: Any) -> None:
        super().__init__(**more)
        self.first, self.noise, self.last = L.Dense(hidden), L.Dropout(0.5), L.Dense(1)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.last(self.noise(self.first(x), training=training))


class Coder(keras.Model):
    """An autoencoder with a training step of its own, over parts that are not built before it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = keras.Sequential([L.Dense(2)]), keras.Sequential([L.Dense(3)])

    def train_step(self, data: Any) -> dict[str, Any]:
        x = data[0] if isinstance(data, tuple) else data
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.ops.square(self.outer(self.inner(x)) - x))
        variables = self.inner.trainable_weights + self.outer.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


class Stepwise(Mlp):
    """A step of its own that returns the metrics as Keras's guides do, those of compile in one."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=predicted)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, predicted)
        return {metric.name: metric.result() for metric in self.metrics}


class Listing(Mlp):
    def train_step(self, data: Any) -> dict[str, Any]:
        return {**super().train_step(data), "each": tf.zeros(3)}


class Compiled(Mlp):
    def compile(self, optimizer: Any, teacher: Any = None) -> None:
        super().compile(optimizer=optimizer)


def stepwise() -> Any:
    return Stepwise()


def listing() -> Any:
    return Listing()


def compiled() -> Any:
    return Compiled()


def mlp(hidden: int = 4) -> Any:
    return Mlp(hidden)


def coder() -> Any:
    return Coder()


class Closed(Mlp):
    """Takes nothing that Keras writes into every model's config."""

    def __init__(self) -> None:
        super().__init__()


def closed() -> Any:
    return Closed()
