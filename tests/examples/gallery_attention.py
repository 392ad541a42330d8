"""Models of Keras's example gallery with layers of their own that attend to something, small.

Pictures are (8, 8, 3), of three classes.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class WarmUpCosine(keras.optimizers.schedules.LearningRateSchedule):
    """focal_modulation_network, patch_convnet: a schedule with a tensor and without a config."""

    def __init__(self, base: float, total_steps: int, warmup_steps: int) -> None:
        super().__init__()
        self.base, self.total_steps, self.warmup_steps = base, total_steps, warmup_steps
        self.pi = tf.constant(np.pi)

    def __call__(self, step: Any) -> Any:
        done = tf.cast(step, tf.float32) - self.warmup_steps
        annealed = tf.cos(self.pi * done / float(self.total_steps - self.warmup_steps))
        slope = self.base / self.warmup_steps * tf.cast(step, tf.float32)
        rate = tf.where(step < self.warmup_steps, slope, 0.5 * self.base * (1 + annealed))
        return tf.where(step > self.total_steps, 0.0, rate, name="learning_rate")


class PatchEmbed(layers.Layer):
    """Returns a tensor, and its height, width and channels as tensors."""

    def __init__(self, patch_size: int, embed_dim: int, **more: Any) -> None:
        super().__init__(**more)
        self.proj = layers.Conv2D(embed_dim, patch_size, strides=patch_size)
        self.flatten = layers.Reshape(target_shape=(-1, embed_dim))

    def call(self, x: Any) -> Any:
        x = self.proj(x)
        return self.flatten(x), tf.shape(x)[1], tf.shape(x)[2], tf.shape(x)[3]


class FocalModulation(layers.Layer):
    """Keeps tensors of its call as attributes, which a callback reads."""

    def __init__(self, dim: int, level: int, **more: Any) -> None:
        super().__init__(**more)
        self.dim, self.level = dim, level
        self.initial_proj = layers.Dense(2 * dim + level + 1)
        self.focal_layers = [
            keras.Sequential(
                [
                    layers.ZeroPadding2D(padding=(1, 1)),
                    layers.Conv2D(dim, 3, activation=keras.activations.gelu, groups=dim),
                ]
            )
            for _ in range(level)
        ]
        self.activation = keras.activations.gelu
        self.gap = layers.GlobalAveragePooling2D(keepdims=True)
        self.modulator_proj, self.proj = layers.Conv2D(dim, (1, 1)), layers.Dense(dim)
        self.proj_drop = layers.Dropout(0.1)

    def call(self, x: Any, training: bool | None = None) -> Any:
        sizes = [self.dim, self.dim, self.level + 1]
        query, context, self.gates = tf.split(self.initial_proj(x), sizes, axis=-1)
        total = 0.0
        for index, layer in enumerate(self.focal_layers):
            context = layer(context)
            total += context * self.gates[..., index : index + 1]
        total += self.activation(self.gap(context)) * self.gates[..., self.level :]
        self.modulator = self.modulator_proj(total)
        return self.proj_drop(self.proj(query * self.modulator))


class FocalNetwork(keras.Model):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.patch_embed, self.down = PatchEmbed(2, 4), PatchEmbed(2, 6)
        self.modulations = [FocalModulation(dim, 2) for dim in (4, 6)]
        self.norm = layers.LayerNormalization(epsilon=1e-7)
        self.avgpool, self.head = layers.GlobalAveragePooling1D(), layers.Dense(3, "softmax")

    def call(self, x: Any) -> Any:
        x, high, wide, channels = self.patch_embed(x)
        x = self.modulations[0](tf.reshape(x, (-1, high, wide, channels)))
        x, high, wide, channels = self.down(x)
        mixed = self.modulations[1](tf.reshape(x, (-1, high, wide, channels)))
        x = x + tf.reshape(mixed, (-1, high * wide, channels))
        return self.head(self.avgpool(self.norm(x)))


def focal_modulation() -> Any:
    model = FocalNetwork()
    rate = keras.optimizers.AdamW(WarmUpCosine(1e-2, 6, 2), weight_decay=1e-4)
    model.compile(rate, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Trunk(layers.Layer):
    def __init__(self, depth: int, dimensions: int, **more: Any) -> None:
        super().__init__(**more)
        self.dimensions, self.depth = dimensions, depth

    def build(self, input_shape: Any) -> None:
        blocks = [
            layers.LayerNormalization(epsilon=1e-6),
            layers.Conv2D(self.dimensions, (3, 3), activation=tf.nn.gelu, padding="same"),
        ]
        self.trunk_blocks = [keras.Sequential(blocks) for _ in range(self.depth)]
        self.add, self.flatten = layers.Add(), layers.Reshape((-1, self.dimensions))

    def call(self, x: Any) -> Any:
        for block in self.trunk_blocks:
            x = self.add([block(x), x])
        return self.flatten(x)


class AttentionPooling(layers.Layer):
    """Its token is a `tf.Variable`, which Keras does not train; it returns scores too."""

    def __init__(self, dimensions: int, num_classes: int, **more: Any) -> None:
        super().__init__(**more)
        self.dimensions, self.num_classes = dimensions, num_classes
        self.cls = tf.Variable(tf.zeros((1, 1, dimensions)))

    def build(self, input_shape: Any) -> None:
        self.attention = layers.MultiHeadAttention(1, self.dimensions, dropout=0.2)
        self.norm = layers.LayerNormalization(epsilon=1e-6)
        self.mlp = keras.Sequential(
            [layers.Dense(self.dimensions, activation=tf.nn.gelu), layers.Dropout(0.2)]
        )
        self.dense, self.flatten = layers.Dense(self.num_classes), layers.Flatten()

    def call(self, x: Any) -> Any:
        token = tf.repeat(self.cls, repeats=tf.shape(x)[0], axis=0)
        x = self.norm(tf.concat([token, x], axis=1))
        x, scores = self.attention(query=x[:, 0:1], key=x, value=x, return_attention_scores=True)
        token = self.flatten(token + x)
        return self.dense(token + self.mlp(token)), tf.squeeze(scores)[..., 1:]


class PatchConvNet(keras.Model):
    """patch_convnet: compiled_loss and compiled_metrics, which Keras 3 keeps for old code."""

    def __init__(self, stem: Any, trunk: Any, pooling: Any, preprocess: Any, augment: Any) -> None:
        super().__init__()
        self.stem, self.trunk, self.attention_pooling = stem, trunk, pooling
        self.train_augmentation_model, self.preprocessing_model = augment, preprocess

    def _calculate_loss(self, inputs: Any, test: bool = False) -> Any:
        images, labels = inputs
        change = self.preprocessing_model if test else self.train_augmentation_model
        logits, _ = self.attention_pooling(self.trunk(self.stem(change(images))))
        return self.compiled_loss(labels, logits), logits

    def train_step(self, inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            total_loss, logits = self._calculate_loss(inputs)
        weights = [
            self.stem.trainable_variables,
            self.trunk.trainable_variables,
            self.attention_pooling.trainable_variables,
        ]
        gradients = tape.gradient(total_loss, weights)
        pairs = zip(tf.nest.flatten(gradients), tf.nest.flatten(weights), strict=True)
        self.optimizer.apply_gradients(pairs)
        self.compiled_metrics.update_state(inputs[1], logits)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, inputs: Any) -> Any:
        _, logits = self._calculate_loss(inputs, test=True)
        self.compiled_metrics.update_state(inputs[1], logits)
        return {m.name: m.result() for m in self.metrics}

    def call(self, images: Any) -> Any:
        return self.attention_pooling(self.trunk(self.stem(self.preprocessing_model(images))))


def patch_convnet() -> Any:
    scaled = layers.Rescaling(1 / 255.0)
    random = [layers.RandomCrop(6, 6, seed=1), layers.RandomFlip("horizontal", seed=2)]
    model = PatchConvNet(
        keras.Sequential([layers.Conv2D(4, 3, 2, activation=tf.nn.gelu, padding="same")]),
        Trunk(2, 4),
        AttentionPooling(4, 3),
        keras.Sequential([scaled, layers.Resizing(6, 6)], name="preprocessing"),
        keras.Sequential([scaled, *random], name="train_data_augmentation"),
    )
    metrics: list[Any] = [
        keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        keras.metrics.SparseTopKCategoricalAccuracy(2, name="top-2-accuracy"),
    ]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.AdamW(WarmUpCosine(1e-2, 6, 2), weight_decay=1e-4)
    model.compile(optimizer=rate, loss=loss, metrics=metrics)
    return model
