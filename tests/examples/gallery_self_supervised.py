"""Models of Keras's example gallery with steps on several arrays at once, each small."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
from gallery_vision import Patches
from keras import layers, ops


class MaskedEncoder(layers.Layer):
    """A token as a tf.Variable, and patches that are drawn in the step."""

    def __init__(self, width: int, proportion: float = 0.5, **more: Any) -> None:
        super().__init__(**more)
        self.width, self.proportion = width, proportion
        self.mask_token = tf.Variable(tf.random.normal([1, 48]), trainable=True)
        self.seeds = keras.random.SeedGenerator(7)

    def build(self, input_shape: Any) -> None:
        (_, self.num_patches, self.patch_area) = input_shape
        self.projection = layers.Dense(units=self.width)
        self.position_embedding = layers.Embedding(self.num_patches, self.width)
        self.num_mask = int(self.proportion * self.num_patches)

    def call(self, patches: Any) -> Any:
        count = tf.shape(patches)[0]
        positions = self.position_embedding(tf.range(self.num_patches)[tf.newaxis, ...])
        positions = tf.tile(positions, [count, 1, 1])
        embedded = self.projection(patches) + positions
        drawn = keras.random.uniform((count, self.num_patches), seed=self.seeds)
        order = tf.argsort(drawn, axis=-1)
        hidden, seen = order[:, : self.num_mask], order[:, self.num_mask :]
        tokens = tf.repeat(self.mask_token, repeats=self.num_mask, axis=0)
        tokens = tf.repeat(tokens[tf.newaxis, ...], repeats=count, axis=0)
        masked = self.projection(tokens) + tf.gather(positions, hidden, axis=1, batch_dims=1)
        shown = tf.gather(embedded, seen, axis=1, batch_dims=1)
        return shown, masked, tf.gather(positions, seen, axis=1, batch_dims=1), hidden


class MaskedAutoencoder(keras.Model):
    """masked_image_modeling: `compute_loss` of patches, x alone, parts with lists of weights."""

    def __init__(self, patch_layer: Any, patch_encoder: Any, encoder: Any, decoder: Any) -> None:
        super().__init__()
        self.patch_layer, self.patch_encoder = patch_layer, patch_encoder
        self.encoder, self.decoder = encoder, decoder

    def calculate_loss(self, images: Any) -> Any:
        patches = self.patch_layer(images)
        shown, masked, positions, hidden = self.patch_encoder(patches)
        encoded = self.encoder(shown) + positions
        made = self.patch_layer(self.decoder(tf.concat([encoded, masked], axis=1)))
        patch, output = (tf.gather(part, hidden, axis=1, batch_dims=1) for part in (patches, made))
        return self.compute_loss(y=patch, y_pred=output), patch, output

    def train_step(self, images: Any) -> Any:
        with tf.GradientTape() as tape:
            total, patch, output = self.calculate_loss(images)
        parts = [
            part.trainable_variables for part in (self.patch_encoder, self.encoder, self.decoder)
        ]
        pairs = []
        for gradients, weights in zip(tape.gradient(total, parts), parts, strict=True):
            pairs += list(zip(gradients, weights, strict=True))
        self.optimizer.apply_gradients(pairs)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(total)
            else:
                metric.update_state(patch, output)
        return {m.name: m.result() for m in self.metrics}


class WarmUpCosine(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, learning_rate_base: float, total_steps: int, warmup_steps: int) -> None:
        super().__init__()
        self.learning_rate_base, self.total_steps = learning_rate_base, total_steps
        self.warmup_steps, self.pi = warmup_steps, tf.constant(math.pi)

    def __call__(self, step: Any) -> Any:
        share = (ops.cast(step, "float32") - self.warmup_steps) / float(self.total_steps)
        rate = 0.5 * self.learning_rate_base * (1 + ops.cos(self.pi * share))
        warm = self.learning_rate_base / self.warmup_steps * ops.cast(step, "float32")
        return ops.where(step < self.warmup_steps, warm, rate)


def masked_pictures() -> Any:
    seen, every = layers.Input((None, 6)), layers.Input((4, 6))
    x = layers.MultiHeadAttention(num_heads=2, key_dim=6, dropout=0.1)(seen, seen)
    encoder = keras.Model(seen, layers.LayerNormalization(epsilon=1e-6)(x), name="mae_encoder")
    y = layers.Dense(192, activation="sigmoid")(layers.Flatten()(layers.Dense(4)(every)))
    decoder = keras.Model(every, layers.Reshape((8, 8, 3))(y), name="mae_decoder")
    model = MaskedAutoencoder(Patches(4), MaskedEncoder(6), encoder, decoder)
    rate = WarmUpCosine(5e-3, total_steps=10, warmup_steps=2)
    optimizer = keras.optimizers.AdamW(learning_rate=rate, weight_decay=1e-4)
    model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError(), metrics=["mae"])
    return model


class AdaMatch(keras.Model):
    """adamatch: a batch of two tuples of four, and steps counted by the model itself."""

    def __init__(self, model: Any, tau: float = 0.9) -> None:
        super().__init__()
        self.model, self.tau, self.total_steps = model, tau, 6
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.current_step = tf.Variable(0, dtype="int64")
        self.seeds = keras.random.SeedGenerator(2)

    @property
    def metrics(self) -> Any:
        return [self.loss_tracker]

    def compute_mu(self) -> Any:
        pi = tf.constant(math.pi, dtype="float32")
        step = tf.cast(self.current_step, dtype="float32")
        return 0.5 - tf.cos(tf.math.minimum(pi, (2 * pi * step) / self.total_steps)) / 2

    def train_step(self, data: Any) -> Any:
        source_ds, target_ds = data
        source_w, labels, source_s, _ = source_ds
        target_w, _, target_s, _ = target_ds
        source = tf.concat([source_w, source_s], 0)
        total_source = tf.shape(source)[0]
        entropy = keras.losses.CategoricalCrossentropy(from_logits=True, reduction=None)
        with tf.GradientTape() as tape:
            logits = self.model(tf.concat([source, target_w, target_s], 0), training=True)
            plain = self.model(source, training=False)
            mixed = keras.random.uniform((total_source, 3), seed=self.seeds)
            final = mixed * logits[:total_source] + (1 - mixed) * plain
            half = tf.shape(source_w)[0]
            targets = logits[total_source:]
            source_w_hat = tf.nn.softmax(final[:half])
            target_hat = tf.nn.softmax(targets[:half])
            ratio = tf.reduce_mean(source_w_hat) / tf.reduce_mean(target_hat)
            pseudo = tf.stop_gradient(tf.math.l2_normalize(target_hat * ratio, 1))
            sure = self.tau * tf.reduce_mean(tf.reduce_max(source_w_hat, axis=-1), 0)
            mask = tf.cast(tf.reduce_max(pseudo, axis=-1) >= sure, "float32")
            loss = tf.reduce_mean(entropy(labels, final[:half]) + entropy(labels, final[half:]))
            target_loss = tf.reduce_mean(entropy(pseudo, targets[half:]) * mask, 0)
            total = loss + self.compute_mu() * target_loss
            self.current_step.assign_add(1)
        gradients = tape.gradient(total, self.model.trainable_variables)
        pairs = zip(gradients, self.model.trainable_variables, strict=True)
        self.optimizer.apply_gradients(pairs)
        self.loss_tracker.update_state(total)
        return {"loss": self.loss_tracker.result()}


def _small_resnet() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = layers.Conv2D(4, 3, padding="same", kernel_regularizer=keras.regularizers.L2(5e-4))(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def adamatch() -> Any:
    rate = keras.optimizers.schedules.CosineDecay(0.03, 6, alpha=0.25)
    model = AdaMatch(model=_small_resnet())
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=rate))
    return model


class SelfTrainer(keras.Model):
    """consistency_training: a zip of two datasets, each with labels; a test_step on one."""

    def __init__(self, student: Any, teacher: Any) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher

    def compile(
        self, optimizer: Any, metrics: Any, student_loss_fn: Any, distillation_loss_fn: Any,
        temperature: float = 3,
    ) -> None:  # fmt: skip
        super().compile(optimizer=optimizer, metrics=metrics)
        self.student_loss_fn, self.distillation_loss_fn = student_loss_fn, distillation_loss_fn
        self.temperature = temperature

    def train_step(self, data: Any) -> Any:
        (clean, _), (noisy, y) = data
        told = self.teacher(clean, training=False)
        with tf.GradientTape() as tape:
            answer = self.student(noisy, training=True)
            soft = self.distillation_loss_fn(
                tf.nn.softmax(told / self.temperature, axis=1),
                tf.nn.softmax(answer / self.temperature, axis=1),
            )
            total = (self.student_loss_fn(y, answer) + soft) / 2
        weights = self.student.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(total, weights), weights, strict=True))
        results = self.compute_metrics(None, y, tf.nn.softmax(answer, axis=1))
        return {**results, "total_loss": total}

    def test_step(self, data: Any) -> Any:
        x, y = data
        return self.compute_metrics(None, y, tf.nn.softmax(self.student(x, training=False), axis=1))

    def call(self, x: Any) -> Any:
        return self.student(x)


def consistent() -> Any:
    model = SelfTrainer(student=_small_resnet(), teacher=_small_resnet())
    model.compile(
        optimizer="adam",
        metrics=["accuracy"],
        student_loss_fn=keras.losses.CategoricalCrossentropy(from_logits=True),
        distillation_loss_fn=keras.losses.KLDivergence(),
        temperature=10,
    )
    return model
