"""Forms of model that Keras's example gallery has, each as small as it can be."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


class Gated(layers.Layer):
    """Neither **kwargs nor get_config, as of most layers there."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.linear = layers.Dense(units)
        self.sigmoid = layers.Dense(units, activation="sigmoid")

    def build(self, shape: Any) -> None:
        self.linear.build(shape)
        self.sigmoid.build(shape)

    def call(self, inputs: Any) -> Any:
        return self.linear(inputs) * self.sigmoid(inputs)


def gated() -> Any:
    """Its layers in the order of its config, in which a worker makes them too."""
    inputs = x = keras.Input((6,))
    for layer in (Gated(4), Gated(3), layers.Dropout(0.2), layers.Dense(1)):
        x = layer(x)
    model = keras.Model(inputs, x)
    model.compile("adam", "mse")
    return model


class Edges:
    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        self.pairs = pairs


class GraphSum(layers.Layer):
    """Its argument is an object that no config can hold."""

    def __init__(self, edges: Edges, **more: Any) -> None:
        super().__init__(**more)
        self.edges = edges
        self.dense = layers.Dense(3)

    def call(self, nodes: Any) -> Any:
        one, other = zip(*self.edges.pairs, strict=True)
        return self.dense(ops.take(nodes, one, axis=1) + ops.take(nodes, other, axis=1))


def graph() -> Any:
    inputs = keras.Input((6,))
    nodes = layers.Reshape((6, 1))(inputs)
    x = layers.Flatten()(GraphSum(Edges([(0, 1), (2, 5)]))(nodes))
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile("adam", "mse")
    return model


def _distance(pair: Any) -> Any:
    return ops.sum(ops.square(pair[0] - pair[1]), axis=1, keepdims=True)


def _contrastive(margin: float) -> Any:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(y_true * y_pred + (1 - y_true) * ops.maximum(margin - y_pred, 0.0))

    return loss


def siamese() -> Any:
    """A Lambda layer, and a loss made inside a function."""
    inputs = keras.Input((6,))
    tower = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
    parts = [tower(inputs), tower(ops.flip(inputs, axis=1))]
    distance = layers.Lambda(_distance, output_shape=(1,))(parts)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(distance))
    model.compile("rmsprop", _contrastive(1.0), metrics=["accuracy"])
    return model


class Denoiser(keras.Model):
    """A loss given to `compile`, and a train_step that takes inputs without labels."""

    def __init__(self) -> None:
        super().__init__()
        self.network = keras.Sequential([keras.Input((6,)), layers.Dense(6)])
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, x: Any) -> Any:
        return self.network(x)

    def train_step(self, x: Any) -> Any:
        noise = keras.random.normal(ops.shape(x), seed=self.seeds)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=noise, y_pred=self.network(x + noise, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


def denoiser() -> Any:
    model = Denoiser()
    model.compile(keras.optimizers.Adam(0.01), loss="mae")
    return model


class Trainer(keras.Model):
    """Compiled with an optimizer alone: its train_step has the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.network = keras.Sequential([keras.Input((6,)), layers.Dense(1)])

    def call(self, x: Any) -> Any:
        return self.network(x)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean(ops.abs(y - self.network(x, training=True)))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"distance": loss}


def trainer() -> Any:
    model = Trainer()
    model.compile(keras.optimizers.SGD(0.05))
    return model
