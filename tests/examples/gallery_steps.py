"""Forms of Keras's example gallery with a train_step or a compile of their own, each small.

Images are (8, 8, 3), of three classes.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


def _dense(*units: int, start: int = 192) -> Any:
    hidden = [layers.Dense(n, activation="relu") for n in units[:-1]]
    return keras.Sequential([keras.Input((start,)), *hidden, layers.Dense(units[-1])])


def _flat(x: Any) -> Any:
    return ops.reshape(x, (-1, 192))


class Distiller(keras.Model):
    """knowledge_distillation: a compile of its own and compute_loss, by a frozen teacher."""

    def __init__(self, student: Any, teacher: Any) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher

    def compile(
        self, optimizer: Any, metrics: Any, student_loss_fn: Any, distillation_loss_fn: Any,
        alpha: float = 0.1, temperature: float = 3.0,
    ) -> None:  # fmt: skip
        super().compile(optimizer=optimizer, metrics=metrics)
        self.student_loss_fn, self.distillation_loss_fn = student_loss_fn, distillation_loss_fn
        self.alpha, self.temperature = alpha, temperature

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        allow_empty: bool = False,
    ) -> Any:  # fmt: skip
        told = self.teacher(x, training=False)
        own = self.student_loss_fn(y, y_pred)
        soft = self.distillation_loss_fn(
            ops.softmax(told / self.temperature, axis=1),
            ops.softmax(y_pred / self.temperature, axis=1),
        )
        return self.alpha * own + (1 - self.alpha) * soft * self.temperature**2

    def call(self, x: Any) -> Any:
        return self.student(x)


def distilled() -> Any:
    flat = [keras.Input((8, 8, 3)), layers.Flatten()]
    teacher = keras.Sequential([*flat, layers.Dense(4, activation="relu"), layers.Dense(3)])
    student = keras.Sequential([*flat, layers.Dense(3)])
    model = Distiller(student, teacher)
    model.compile(
        optimizer=keras.optimizers.Adam(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
        student_loss_fn=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        distillation_loss_fn=keras.losses.KLDivergence(),
    )
    return model


class Rays(keras.Model):
    """nerf: metrics made in compile, `metrics` a property, train_step and test_step."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def compile(self, optimizer: Any, loss_fn: Any) -> None:
        super().compile()
        self.optimizer, self.loss_fn = optimizer, loss_fn
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.psnr_metric = keras.metrics.Mean(name="psnr")

    def train_step(self, inputs: Any) -> Any:
        images, _ = inputs
        images = _flat(images)
        with tf.GradientTape() as tape:
            loss = self.loss_fn(images, self.network(images))
        weights = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return self._logged(loss)

    def test_step(self, inputs: Any) -> Any:
        images = _flat(inputs[0])
        return self._logged(self.loss_fn(images, self.network(images)))

    def _logged(self, loss: Any) -> Any:
        self.loss_tracker.update_state(loss)
        self.psnr_metric.update_state(-10.0 * ops.log10(loss))
        return {"loss": self.loss_tracker.result(), "psnr": self.psnr_metric.result()}

    @property
    def metrics(self) -> Any:
        return [self.loss_tracker, self.psnr_metric]


def rays() -> Any:
    model = Rays(_dense(4, 192))
    model.compile(optimizer=keras.optimizers.Adam(), loss_fn=keras.losses.MeanSquaredError())
    return model


class Neighbours(keras.Model):
    """nnclr: two optimizers, a queue of features, metrics beside those compiled."""

    def __init__(self, width: int, queue: int) -> None:
        super().__init__()
        self.probe_accuracy = keras.metrics.SparseCategoricalAccuracy(name="p_acc")
        self.probe_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.encoder, self.probe = _dense(width), _dense(3, start=width)
        normal = keras.random.normal((queue, width), seed=1)
        self.queue = keras.Variable(keras.utils.normalize(normal, axis=1), trainable=False)

    def compile(self, contrastive_optimizer: Any, probe_optimizer: Any, **more: Any) -> None:
        super().compile(**more)
        self.contrastive_optimizer = contrastive_optimizer
        self.probe_optimizer = probe_optimizer

    def train_step(self, data: Any) -> Any:
        images, labels = data
        x = _flat(images)
        with tf.GradientTape() as tape:
            features = self.encoder(x)
            near = ops.argmax(ops.matmul(features, ops.transpose(self.queue)), axis=1)
            near = ops.take(self.queue, near, axis=0)
            loss = ops.mean(ops.square(features - ops.stop_gradient(near)))
        weights = self.encoder.trainable_weights
        self.contrastive_optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )
        kept = self.queue[: -ops.shape(features)[0]]
        self.queue.assign(ops.concatenate([ops.stop_gradient(features), kept], axis=0))
        with tf.GradientTape() as tape:
            logits = self.probe(self.encoder(x))
            probe_loss = self.probe_loss(labels, logits)
        weights = self.probe.trainable_weights
        gradients = tape.gradient(probe_loss, weights)
        self.probe_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self.probe_accuracy.update_state(labels, logits)
        return {"c_loss": loss, "p_loss": probe_loss, "p_acc": self.probe_accuracy.result()}


def neighbours() -> Any:
    model = Neighbours(4, 16)
    model.compile(
        contrastive_optimizer=keras.optimizers.Adam(), probe_optimizer=keras.optimizers.Adam()
    )
    return model


class Flow(keras.Model):
    """real_nvp: coupled networks, a likelihood."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.layers_list = [_dense(4, 4, start=4) for _ in range(count)]
        self.masks = ops.convert_to_tensor([[0, 1, 0, 1], [1, 0, 1, 0]] * (count // 2), "float32")
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> Any:
        return [self.loss_tracker]

    def call(self, x: Any, training: bool = True) -> Any:
        logs = 0.0
        for index, network in enumerate(self.layers_list):
            mask = self.masks[index]
            shift = network(x * mask) * (1 - mask)
            scale = ops.tanh(shift)
            x = (1 - mask) * (x * ops.exp(-scale) - shift) + x * mask
            logs -= ops.sum(scale, axis=1)
        return x, logs

    def log_loss(self, x: Any) -> Any:
        y, logs = self(x)
        return ops.mean(0.5 * ops.sum(ops.square(y), axis=1) - logs)

    def train_step(self, data: Any) -> Any:
        x = _flat(data[0])[:, :4]
        with tf.GradientTape() as tape:
            loss = self.log_loss(x)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


def flow() -> Any:
    model = Flow(4)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    return model


class Quantizer(layers.Layer):
    """vq_vae: add_loss, and gradients that go straight through."""

    def __init__(self, count: int, width: int, beta: float = 0.25, **more: Any) -> None:
        super().__init__(**more)
        self.width, self.beta, self.count = width, beta, count
        self.codes = self.add_weight(shape=(width, count), initializer="random_uniform")

    def call(self, x: Any) -> Any:
        flat = ops.reshape(x, (-1, self.width))
        distances = (
            ops.sum(flat**2, axis=1, keepdims=True)
            + ops.sum(self.codes**2, axis=0)
            - 2 * ops.matmul(flat, self.codes)
        )
        chosen = ops.one_hot(ops.argmin(distances, axis=1), self.count)
        coded = ops.reshape(ops.matmul(chosen, ops.transpose(self.codes)), ops.shape(x))
        commitment = ops.mean((ops.stop_gradient(coded) - x) ** 2)
        self.add_loss(self.beta * commitment + ops.mean((coded - ops.stop_gradient(x)) ** 2))
        return x + ops.stop_gradient(coded - x)


class QuantizedTrainer(keras.Model):
    def __init__(self, variance: float) -> None:
        super().__init__()
        self.variance = variance
        inputs = keras.Input((192,))
        coded = Quantizer(6, 4, name="quantizer")(layers.Dense(4)(inputs))
        self.vqvae = keras.Model(inputs, layers.Dense(192)(coded))
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")
        self.vq_loss_tracker = keras.metrics.Mean(name="vq_loss")

    @property
    def metrics(self) -> Any:
        return [self.total_loss_tracker, self.vq_loss_tracker]

    def train_step(self, x: Any) -> Any:
        x = _flat(x[0])
        with tf.GradientTape() as tape:
            rebuilt = self.vqvae(x)
            total = ops.mean((x - rebuilt) ** 2) / self.variance + sum(self.vqvae.losses)
        gradients = tape.gradient(total, self.vqvae.trainable_variables)
        pairs = zip(gradients, self.vqvae.trainable_variables, strict=True)
        self.optimizer.apply_gradients(pairs)
        self.total_loss_tracker.update_state(total)
        self.vq_loss_tracker.update_state(sum(self.vqvae.losses))
        return {each.name: each.result() for each in self.metrics}


def quantized() -> Any:
    model = QuantizedTrainer(0.1)
    model.compile(optimizer=keras.optimizers.Adam())
    return model


class Diffusion(keras.Model):
    """ddim: a normalizer, a network and its running mean, a metric of each."""

    def __init__(self) -> None:
        super().__init__()
        self.normalizer = layers.Normalization()
        self.normalizer.adapt(np.linspace(0, 1, 768).reshape(4, 192))
        self.network = _dense(4, 192, start=193)
        self.ema_network = keras.models.clone_model(self.network)
        self.seeds = keras.random.SeedGenerator(1)

    def compile(self, **more: Any) -> None:
        super().compile(**more)
        self.noise_loss_tracker = keras.metrics.Mean(name="n_loss")
        self.image_loss_tracker = keras.metrics.Mean(name="i_loss")

    @property
    def metrics(self) -> Any:
        return [self.noise_loss_tracker, self.image_loss_tracker]

    def denoise(self, noisy: Any, rates: Any, training: bool) -> Any:
        network = self.network if training else self.ema_network
        noises = network(ops.concatenate([noisy, rates**2], axis=1), training=training)
        return noises, noisy - rates * noises

    def train_step(self, data: Any) -> Any:
        images = self.normalizer(_flat(data[0]), training=True)
        noises = keras.random.normal(ops.shape(images), seed=self.seeds)
        rates = keras.random.uniform((ops.shape(images)[0], 1), seed=self.seeds)
        with tf.GradientTape() as tape:
            guessed, cleaned = self.denoise(images + rates * noises, rates, training=True)
            noise_loss = ops.mean(self.loss(noises, guessed))
        weights = self.network.trainable_weights
        gradients = tape.gradient(noise_loss, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self.noise_loss_tracker.update_state(noise_loss)
        self.image_loss_tracker.update_state(self.loss(images, cleaned))
        for weight, mean in zip(self.network.weights, self.ema_network.weights, strict=True):
            mean.assign(0.9 * mean + 0.1 * weight)
        return {metric.name: metric.result() for metric in self.metrics}


def diffusion() -> Any:
    model = Diffusion()
    model.compile(optimizer=keras.optimizers.AdamW(1e-3), loss=keras.losses.MeanAbsoluteError())
    return model


class LocalDense(layers.Layer):
    """forwardforward: a layer with an optimizer and a metric of its own."""

    def __init__(self, units: int, repeats: int = 2) -> None:
        super().__init__()
        self.dense, self.repeats = layers.Dense(units, activation="relu"), repeats
        self.optimizer, self.loss_metric = keras.optimizers.Adam(0.03), keras.metrics.Mean()

    def call(self, x: Any) -> Any:
        return self.dense(x / (ops.norm(x, axis=1, keepdims=True) + 1e-4))

    def forward_forward(self, right: Any, wrong: Any) -> Any:
        for _ in range(self.repeats):
            with tf.GradientTape() as tape:
                good, bad = (ops.mean(self(x) ** 2, axis=1) for x in (right, wrong))
                loss = ops.mean(ops.softplus(ops.concatenate([1.5 - good, bad - 1.5])))
            self.loss_metric.update_state(loss)
            weights = self.dense.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        right, wrong = (ops.stop_gradient(self(x)) for x in (right, wrong))
        return right, wrong, self.loss_metric.result()


class ForwardForward(keras.Model):
    """Weights that no compiled optimizer moves."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = [LocalDense(4), LocalDense(3)]

    def call(self, x: Any) -> Any:
        x = _flat(x)
        for part in self.parts:
            x = part(x)
        return x

    def train_step(self, data: Any) -> Any:
        right = _flat(data[0])
        wrong, losses = ops.flip(right, axis=1), []
        for part in self.parts:
            right, wrong, loss = part.forward_forward(right, wrong)
            losses.append(loss)
        return {"final_loss": sum(losses)}


def forward_forward() -> Any:
    model = ForwardForward()
    model.compile(optimizer=keras.optimizers.Adam(), loss="mse")
    return model


STEPS = (distilled, rays, neighbours, flow, quantized, diffusion, forward_forward)
