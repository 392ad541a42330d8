"""Forms of Keras's example gallery with layers, losses and optimizers of their own, each small.

Images are (8, 8, 3), of three classes; tokens are (6,), below 9.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


def _images() -> Any:
    return keras.Input((8, 8, 3))


def _classifier(inputs: Any, x: Any, **compiled: Any) -> Any:
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    given = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"} | compiled
    model.compile(**given, metrics=["accuracy"])
    return model


class Patches(layers.Layer):
    def __init__(self, size: int, **more: Any) -> None:
        super().__init__(**more)
        self.size = size

    def call(self, x: Any) -> Any:
        patches = ops.image.extract_patches(x, size=self.size)
        return ops.reshape(patches, (ops.shape(x)[0], 4, self.size * self.size * 3))


class Mixer(layers.Layer):
    """mlp_image_classification: MLPMixer, FNet and gMLP, blocks of Sequential models."""

    def __init__(self, kind: str, units: int, **more: Any) -> None:
        super().__init__(**more)
        self.kind = kind
        if kind == "tokens":
            self.first = keras.Sequential([layers.Dense(4, activation="gelu"), layers.Dense(4)])
        self.second = keras.Sequential(
            [layers.Dense(units, activation="gelu"), layers.Dropout(0.2)]
        )
        self.normalize = layers.LayerNormalization(epsilon=1e-6)

    def call(self, x: Any) -> Any:
        if self.kind == "fourier":
            mixed = ops.real(tf.signal.fft2d(ops.cast(x, "complex64")))
        elif self.kind == "gated":
            one, other = ops.split(self.normalize(x), 2, axis=-1)
            mixed = ops.concatenate([one * other, other], axis=-1)
        else:
            mixed = ops.transpose(self.first(ops.transpose(x, (0, 2, 1))), (0, 2, 1))
        return x + self.second(self.normalize(x + mixed))


def mixers() -> Any:
    inputs = _images()
    x = layers.Dense(6)(Patches(4)(layers.RandomFlip("horizontal", seed=1)(inputs)))
    for kind in ("tokens", "fourier", "gated"):
        x = Mixer(kind, 6)(x)
    return _classifier(inputs, layers.GlobalAveragePooling1D()(x))


class Perceiver(keras.Model):
    """perceiver_image_classification: its layers are made in `build`."""

    def __init__(self, latents: int, width: int) -> None:
        super().__init__()
        self.latents, self.width = latents, width

    def build(self, shape: Any) -> None:
        size = (self.latents, self.width)
        self.latent = self.add_weight(shape=size, initializer="random_normal", trainable=True)
        self.patches = Patches(4)
        self.project = layers.Dense(self.width)
        self.cross = layers.MultiHeadAttention(2, self.width, dropout=0.1)
        self.blocks = [
            keras.Sequential([layers.LayerNormalization(), layers.Dense(self.width)])
            for _ in range(2)
        ]
        self.head = layers.Dense(3)
        super().build(shape)

    def call(self, x: Any) -> Any:
        latent = ops.expand_dims(self.latent, 0)
        latent = ops.repeat(latent, ops.shape(x)[0], axis=0)
        x = self.cross(latent, self.project(self.patches(x)))
        for block in self.blocks:
            x = x + block(x)
        return self.head(ops.mean(x, axis=1))


def perceiver() -> Any:
    model = Perceiver(3, 4)
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="acc"),
            keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2"),
        ],
    )
    return model


class Orthogonal(keras.regularizers.Regularizer):
    def __init__(self, features: int, rate: float = 0.01) -> None:
        self.features, self.rate, self.eye = features, rate, ops.eye(features)

    def __call__(self, x: Any) -> Any:
        x = ops.reshape(x, (-1, self.features, self.features))
        product = ops.tensordot(x, x, axes=(2, 2))
        product = ops.reshape(product, (-1, self.features, self.features))
        return ops.sum(self.rate * ops.square(product - self.eye))


def pointnet() -> Any:
    """A transform of points, regularized by its output."""
    inputs = _images()
    points = layers.Reshape((64, 3))(inputs)
    x = layers.GlobalMaxPooling1D()(layers.Conv1D(4, 1, activation="relu")(points))
    x = layers.Dense(
        9,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(np.eye(3).flatten()),
        activity_regularizer=Orthogonal(3),
    )(x)
    moved = layers.Dot(axes=(2, 1))([points, layers.Reshape((3, 3))(x)])
    x = layers.BatchNormalization(momentum=0.0)(layers.Conv1D(4, 1)(moved))
    return _classifier(inputs, layers.GlobalMaxPooling1D()(x))


class ClassToken(layers.Layer):
    """cait: a token and a scale as weights of the layer."""

    def __init__(self, width: int, **more: Any) -> None:
        super().__init__(**more)
        self.token = self.add_weight(shape=(1, 1, width), initializer="zeros", name="token")
        self.scale = self.add_weight(
            shape=(width,), initializer=keras.initializers.Constant(0.1), name="scale"
        )
        self.attention = layers.MultiHeadAttention(1, width)

    def call(self, x: Any) -> Any:
        token = ops.tile(self.token, (ops.shape(x)[0], 1, 1))
        both = ops.concatenate([token, x], axis=1)
        return self.scale * self.attention(token, both) + token


class Involution(layers.Layer):
    """involution: its kernel is made of the input."""

    def __init__(self, channel: int, **more: Any) -> None:
        super().__init__(**more)
        self.channel = channel

    def build(self, shape: Any) -> None:
        _, self.high, self.wide, channels = shape
        self.kernel_gen = keras.Sequential(
            [layers.Conv2D(self.channel, 1), layers.BatchNormalization(), layers.Conv2D(9, 1)]
        )
        self.channels = channels

    def call(self, x: Any) -> Any:
        kernel = ops.reshape(self.kernel_gen(x), (-1, self.high, self.wide, 9, 1))
        patches = tf.image.extract_patches(
            x, [1, 3, 3, 1], [1, 1, 1, 1], [1, 1, 1, 1], padding="SAME"
        )
        patches = ops.reshape(patches, (-1, self.high, self.wide, 9, self.channels))
        return ops.sum(kernel * patches, axis=3)


def class_attention() -> Any:
    inputs = _images()
    x = layers.Dense(4)(Patches(4)(Involution(2)(inputs)))
    return _classifier(inputs, layers.Flatten()(ClassToken(4)(x)))


class Contrastive(keras.losses.Loss):
    """supervised_contrastive: a loss of all pairs of a batch."""

    def __init__(self, temperature: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.temperature = temperature

    def __call__(self, labels: Any, features: Any, sample_weight: Any = None) -> Any:
        features = keras.utils.normalize(features, axis=1, order=2)
        logits = ops.matmul(features, ops.transpose(features)) / self.temperature
        labels = ops.reshape(labels, (-1, 1))
        same = ops.cast(ops.equal(labels, ops.transpose(labels)), "float32")
        same = same / ops.sum(same, axis=1, keepdims=True)
        return ops.mean(keras.losses.categorical_crossentropy(same, logits, from_logits=True))


def contrastive() -> Any:
    encoder = keras.Sequential(
        [_images(), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()], name="encoder"
    )
    inputs = _images()
    model = keras.Model(inputs, layers.Dense(4, activation="relu")(encoder(inputs)), name="with")
    model.compile(keras.optimizers.Adam(1e-3), loss=Contrastive(0.05))
    return model


class Centralized(keras.optimizers.RMSprop):
    """gradient_centralization: an optimizer that changes the gradients."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        centred = [
            grad - ops.mean(grad, axis=list(range(len(grad.shape) - 1)), keepdims=True)
            if len(grad.shape) > 1
            else grad
            for grad in grads
        ]
        return super().apply(centred, trainable_variables)


def centralized() -> Any:
    inputs = _images()
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.Dropout(0.5)(x)
    return _classifier(inputs, layers.Flatten()(x), optimizer=Centralized(1e-3))


def _above_zero(x: Any) -> Any:
    return keras.activations.elu(x) + 1 + keras.backend.epsilon()


class MixtureOutput(layers.Layer):
    """approximating_non_function_mappings: a layer that says itself what its weights are."""

    def __init__(self, count: int, **more: Any) -> None:
        super().__init__(**more)
        self.mus = layers.Dense(count, name="mus")
        self.sigmas = layers.Dense(count, activation=_above_zero, name="sigmas")
        self.shares = layers.Dense(count, name="shares")

    def build(self, shape: Any) -> None:
        for part in (self.mus, self.sigmas, self.shares):
            part.build(shape)
        super().build(shape)

    @property
    def trainable_weights(self) -> Any:
        parts = (self.mus, self.sigmas, self.shares)
        return [weight for part in parts for weight in part.trainable_weights]

    def call(self, x: Any, mask: Any = None) -> Any:
        return layers.concatenate([self.mus(x), self.sigmas(x), self.shares(x)], name="mixed")


def _likelihood(count: int) -> Any:
    def loss(y_true: Any, y_pred: Any) -> Any:
        mu, sigma, share = ops.split(y_pred, 3, axis=-1)
        y = ops.cast(ops.reshape(y_true, (-1, 1)), "float32")
        of_each = -0.5 * ops.square((y - mu) / sigma) - ops.log(sigma)
        return -ops.logsumexp(ops.log_softmax(share) + of_each, axis=-1) / count

    return loss


def mixture() -> Any:
    inputs = _images()
    x = layers.Dense(4, activation="relu")(layers.Flatten()(inputs))
    model = keras.Model(inputs, MixtureOutput(2)(x))
    model.compile("adam", loss=_likelihood(2))
    return model


class Tree(keras.Model):
    """deep_neural_decision_forests: what numpy draws, and a weight of the model itself."""

    def __init__(self, depth: int, features: int) -> None:
        super().__init__()
        self.depth, self.leaves = depth, 2**depth
        drawn = np.random.choice(np.arange(features), features // 2, replace=False)
        self.used = ops.convert_to_tensor(np.eye(features)[drawn], dtype="float32")
        self.pi = self.add_weight(initializer="random_normal", shape=[self.leaves, 3])
        self.decide = layers.Dense(self.leaves, activation="sigmoid", name="decision")

    def call(self, features: Any) -> Any:
        batch = ops.shape(features)[0]
        decisions = self.decide(ops.matmul(features, ops.transpose(self.used)))
        decisions = ops.expand_dims(decisions, axis=2)
        decisions = layers.concatenate([decisions, 1 - decisions], axis=2)
        mu, start, end = ops.ones([batch, 1, 1]), 1, 2
        for level in range(self.depth):
            mu = ops.tile(ops.reshape(mu, [batch, -1, 1]), (1, 1, 2))
            mu = mu * decisions[:, start:end, :]
            start, end = end, end + 2 ** (level + 1)
        mu = ops.reshape(mu, [batch, self.leaves])
        return ops.matmul(mu, keras.activations.softmax(self.pi))


def forest() -> Any:
    inputs = _images()
    x = layers.BatchNormalization()(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Average()([Tree(2, 192)(x), Tree(2, 192)(x)]))
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy())
    return model


@keras.saving.register_keras_serializable(package="gallery")
class LeakyCell(layers.Layer):
    """temporal_latent_bottleneck: a cell of its own in an RNN."""

    def __init__(self, units: int, **more: Any) -> None:
        super().__init__(**more)
        self.state_size = self.output_size = self.units = units
        self.new, self.gate = layers.Dense(units), layers.Dense(units, activation="sigmoid")

    def build(self, shape: Any) -> None:
        self.new.build((shape[0], shape[-1] + self.units))
        self.gate.build((shape[0], shape[-1] + self.units))

    def call(self, inputs: Any, states: Any, training: Any = None) -> Any:
        both = ops.concatenate([inputs, states[0]], axis=-1)
        gate = self.gate(both)
        state = gate * ops.tanh(self.new(both)) + (1 - gate) * states[0]
        return state, [state]


def own_cell() -> Any:
    inputs = _images()
    rows = layers.Reshape((8, 24))(inputs)
    x = layers.RNN(LeakyCell(4), return_sequences=True)(rows)
    return _classifier(inputs, layers.Bidirectional(layers.RNN(LeakyCell(3)))(x))


LAYERS = (
    mixers,
    perceiver,
    pointnet,
    class_attention,
    contrastive,
    centralized,
    mixture,
    forest,
    own_cell,
)
