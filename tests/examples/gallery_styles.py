"""Models of Keras's example gallery that draw pictures in a style, each small.

Pictures are (8, 8, 3).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


def _mean_and_deviation(x: Any, epsilon: float = 1e-5) -> Any:
    mean, variance = ops.moments(x, axes=[1, 2], keepdims=True)
    return mean, ops.sqrt(variance + epsilon)


def _in_style(style: Any, content: Any) -> Any:
    mean, deviation = _mean_and_deviation(content)
    style_mean, style_deviation = _mean_and_deviation(style)
    return style_deviation * (content - mean) / deviation + style_mean


def _frozen(names: tuple[str, ...]) -> Any:
    """Outputs of a frozen base by the names of its layers, wrapped in a second model."""
    first = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="block1_conv1")(first)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="block2_conv1")(x)
    base = keras.Model(first, x)
    base.trainable = False
    outputs = [base.get_layer(name).output for name in names]
    inner = keras.Model(base.input, outputs if len(outputs) > 1 else outputs[0])
    inputs = layers.Input([8, 8, 3])
    return keras.Model(inputs, inner(inputs), name=f"base_of_{len(names)}")


class StyleTransfer(keras.Model):
    """adain: inputs as a tuple, outputs as a dict, compute_loss with only its usual arguments."""

    def __init__(self, encoder: Any, decoder: Any, loss_net: Any, style_weight: float) -> None:
        super().__init__()
        self.encoder, self.decoder, self.loss_net = encoder, decoder, loss_net
        self.style_weight = style_weight
        names = ("style_loss", "content_loss", "total_loss")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]

    def compile(self, optimizer: Any, loss_fn: Any, **more: Any) -> None:
        super().compile(optimizer=optimizer, **more)
        self.loss_fn = loss_fn

    def call(self, inputs: Any, training: bool = False) -> Any:
        style, content = inputs
        encoded = [self.encoder(part, training=False) for part in (style, content)]
        target = _in_style(style=encoded[0], content=encoded[1])
        drawn = self.decoder(target, training=training)
        return {"reconstructed_image": drawn, "target_features": target, "style": style}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        drawn = self.loss_net(y_pred["reconstructed_image"], training=False)
        wanted = self.loss_net(y_pred["style"], training=False)
        content = self.loss_fn(y_pred["target_features"], drawn[-1])
        style = 0.0
        for one, other in zip(wanted, drawn, strict=True):
            pairs = zip(_mean_and_deviation(one), _mean_and_deviation(other), strict=True)
            style += sum(self.loss_fn(*pair) for pair in pairs)
        losses = (self.style_weight * style, content, content + self.style_weight * style)
        for tracker, loss in zip(self.trackers, losses, strict=True):
            tracker.update_state(loss)
        return losses[-1]

    @property
    def metrics(self) -> Any:
        return self.trackers


def adain() -> Any:
    same: Any = {"kernel_size": 3, "padding": "same"}
    decoder = keras.Sequential(
        [
            layers.InputLayer((None, None, 4)),
            layers.Conv2D(4, activation="relu", **same),
            layers.UpSampling2D(),
            layers.Conv2D(3, activation="sigmoid", **same),
        ]
    )
    model = StyleTransfer(
        _frozen(("block2_conv1",)), decoder, _frozen(("block1_conv1", "block2_conv1")), 4.0
    )
    model.compile(keras.optimizers.Adam(1e-5), loss_fn=keras.losses.MeanSquaredError())
    return model


class EqualizedConv(layers.Layer):
    def __init__(self, out_channels: int, kernel: int = 3, gain: int = 2, **more: Any) -> None:
        super().__init__(**more)
        self.kernel, self.out_channels, self.gain = kernel, out_channels, gain

    def build(self, input_shape: Any) -> None:
        size = [self.kernel, self.kernel, input_shape[-1], self.out_channels]
        normal = keras.initializers.RandomNormal(mean=0.0, stddev=1.0)
        self.w = self.add_weight(shape=size, initializer=normal, name="kernel")
        self.b = self.add_weight(shape=(self.out_channels,), initializer="zeros", name="bias")
        self.scale = float(np.sqrt(self.gain / input_shape[-1]))

    def call(self, x: Any) -> Any:
        if self.kernel != 1:
            x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
        return ops.conv(x, self.scale * self.w, strides=1, padding="valid") + self.b

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.out_channels)


class EqualizedDense(layers.Layer):
    def __init__(self, units: int, learning_rate_multiplier: float = 1, **more: Any) -> None:
        super().__init__(**more)
        self.units, self.multiplier = units, learning_rate_multiplier

    def build(self, input_shape: Any) -> None:
        normal = keras.initializers.RandomNormal(mean=0.0, stddev=1.0 / self.multiplier)
        size = [input_shape[-1], self.units]
        self.w = self.add_weight(shape=size, initializer=normal, name="kernel")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.scale = float(np.sqrt(2 / input_shape[-1]))

    def call(self, x: Any) -> Any:
        return ops.add(ops.matmul(x, self.scale * self.w), self.b) * self.multiplier


class AddNoise(layers.Layer):
    def build(self, input_shape: Any) -> None:
        size, normal = [1, 1, 1, input_shape[0][-1]], keras.initializers.RandomNormal(stddev=1.0)
        self.b = self.add_weight(shape=size, initializer=normal, name="kernel")

    def call(self, inputs: Any) -> Any:
        return inputs[0] + self.b * inputs[1]


class AdaIN(layers.Layer):
    """Its layers are made in `build`, of two shapes."""

    def build(self, input_shapes: Any) -> None:
        self.channels = input_shapes[0][-1]
        self.scaled, self.shifted = EqualizedDense(self.channels), EqualizedDense(self.channels)

    def call(self, inputs: Any) -> Any:
        x, w = inputs
        size = (-1, 1, 1, self.channels)
        return ops.reshape(self.scaled(w), size) * x + ops.reshape(self.shifted(w), size)


class MinibatchStd(layers.Layer):
    def call(self, inputs: Any) -> Any:
        n, high, wide, channels = ops.shape(inputs)
        group = ops.minimum(4, n)
        x = ops.reshape(inputs, (group, -1, high, wide, channels))
        deviation = ops.mean(ops.sqrt(ops.var(x, axis=0) + 1e-8), axis=[1, 2, 3], keepdims=True)
        return ops.concatenate([inputs, ops.tile(deviation, (group, high, wide, 1))], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], input_shape[-1] + 1)


def _fade_in(alpha: Any, a: Any, b: Any) -> Any:
    return alpha * a + (1.0 - alpha) * b


def _block(resolution: int, is_first: bool) -> Any:
    inputs = layers.Input(shape=(4, 4, 6), name=f"g_{resolution}")
    noise = layers.Input(shape=(resolution, resolution, 1), name=f"noise_{resolution}")
    w = layers.Input(shape=(5,))
    x = inputs if is_first else EqualizedConv(6)(layers.UpSampling2D((2, 2))(inputs))
    x = layers.LeakyReLU(0.2)(AddNoise()([x, noise]))
    x = AdaIN()([layers.GroupNormalization(groups=-1)(x), w])
    return keras.Model([inputs, w, noise], x, name=f"genblock_{resolution}x{resolution}")


class Generator:
    """Not a layer: it keeps blocks and makes models of them."""

    def __init__(self) -> None:
        self.blocks = [_block(4, is_first=True), _block(8, is_first=False)]
        shapes = [layers.InputLayer(shape=(size, size, 6)) for size in (4, 8)]
        self.to_rgb = [
            keras.Sequential([shape, EqualizedConv(3, 1, gain=1), layers.Activation("tanh")])
            for shape in shapes
        ]

    def grow(self) -> Any:
        first = layers.Input((4, 4, 6), name="generator_input")
        w, alpha = layers.Input(shape=(2, 5), name="w"), layers.Input(shape=(1,), name="g_alpha")
        noises = [layers.Input(shape=(size, size, 1), name=f"noise_{size}") for size in (4, 8)]
        x = self.blocks[0]([first, w[:, 0], noises[0]])
        old = layers.UpSampling2D((2, 2))(self.to_rgb[0](x))
        new = self.to_rgb[1](self.blocks[1]([x, w[:, 1], noises[1]]))
        return keras.Model([first, w, *noises, alpha], _fade_in(alpha[0], new, old))


def _mapping() -> Any:
    z = layers.Input(shape=(5,))
    w = z / ops.sqrt(ops.mean(z**2, axis=-1, keepdims=True) + 1e-8)
    w = layers.LeakyReLU(0.2)(EqualizedDense(5, learning_rate_multiplier=0.01)(w))
    return keras.Model(z, ops.tile(ops.expand_dims(w, 1), (1, 2, 1)), name="mapping")


def _discriminator() -> Any:
    alpha = layers.Input(shape=(1,), name="d_alpha")
    image = layers.Input(shape=(8, 8, 3), name="input_image")
    x = layers.AveragePooling2D((2, 2))(EqualizedConv(4)(EqualizedConv(4, 1)(image)))
    y = EqualizedConv(4, 1)(layers.AveragePooling2D((2, 2))(image))
    x = MinibatchStd()(_fade_in(alpha[0], x, y))
    x = layers.Flatten()(layers.LeakyReLU(0.2)(EqualizedConv(4)(x)))
    return keras.Model([image, alpha], EqualizedDense(1)(x))


class StyleGAN(keras.Model):
    """stylegan: run eagerly, gradients of gradients, random numbers without a seed generator."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = keras.Variable(1.0, trainable=False, name="alpha")
        self.mapping = _mapping()
        self.g_builder = Generator()
        self.train_step_counter = keras.Variable(0, trainable=False)
        self.loss_weights = {"gradient_penalty": 10, "drift": 0.001}
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")
        self.generator, self.discriminator = self.g_builder.grow(), _discriminator()

    def compile(
        self, steps_per_epoch: int, phase: str, d_optimizer: Any, g_optimizer: Any, **more: Any
    ) -> None:
        self.loss_weights = more.pop("loss_weights", self.loss_weights)
        self.steps_per_epoch, self.phase = steps_per_epoch, phase
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        self.train_step_counter.assign(0)
        super().compile(**more)

    @property
    def metrics(self) -> Any:
        return [self.d_loss_metric, self.g_loss_metric]

    def _inputs(self, count: Any) -> Any:
        z = keras.random.normal((count, 5))
        noises = [keras.random.normal((count, size, size, 1)) for size in (4, 8)]
        return z, noises, ops.ones((count, 4, 4, 6))

    def gradient_loss(self, grad: Any) -> Any:
        loss = ops.square(grad)
        loss = ops.sum(loss, axis=ops.arange(1, ops.size(ops.shape(loss))))
        return ops.mean(ops.square(ops.sqrt(loss) - 1))

    def _d_step(self, real: Any, alpha: Any, count: Any) -> Any:
        z, noises, first = self._inputs(count)
        with tf.GradientTape() as tape:
            w = self.mapping(z, training=False)
            fake = self.generator([first, w, *noises, alpha], training=False)
            fake = ops.stop_gradient(fake)
            judged = [self.discriminator([part, alpha], training=True) for part in (fake, real)]
            share = keras.random.uniform((count, 1, 1, 1))
            between = share * real + (1 - share) * fake
            with tf.GradientTape() as inner:
                inner.watch(between)
                guessed = self.discriminator([between, alpha], training=True)
            penalty = self.gradient_loss(inner.gradient(guessed, between))
            drift = ops.mean(ops.concatenate(judged, axis=0) ** 2)
            loss = ops.mean(judged[0]) - ops.mean(judged[1])
            loss += self.loss_weights["gradient_penalty"] * penalty
            loss += self.loss_weights["drift"] * drift
        weights = self.discriminator.trainable_variables
        self.d_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    def _g_step(self, alpha: Any, count: Any) -> Any:
        z, noises, first = self._inputs(count)
        weights = self.mapping.trainable_variables + self.generator.trainable_variables
        with tf.GradientTape() as tape:
            w = self.mapping(z, training=True)
            fake = self.generator([first, w, *noises, alpha], training=True)
            loss = -ops.mean(self.discriminator([fake, alpha], training=False))
        self.g_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    def train_step(self, real: Any) -> Any:
        self.train_step_counter.assign_add(1)
        if self.phase == "TRANSITION":
            self.alpha.assign(ops.cast(self.train_step_counter / self.steps_per_epoch, "float32"))
        alpha, count = ops.expand_dims(self.alpha, 0), ops.shape(real)[0]
        d_loss = self._d_step(real, alpha, count)
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(self._g_step(alpha, count))
        return {metric.name: metric.result() for metric in self.metrics}


def stylegan() -> Any:
    model = StyleGAN()
    rates = [keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99) for _ in range(2)]
    model.compile(3, "TRANSITION", *rates, run_eagerly=True)
    return model
