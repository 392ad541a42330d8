"""Models of Keras's example gallery whose inputs or outputs are sequences, small.

Pictures are (8, 8, 3), captions (2, 6) below 9, signals (4, 32), films (5, 6), of three classes.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


class CaptionEmbedding(layers.Layer):
    """image_captioning: a tensor as an attribute, a mask of its own."""

    def __init__(self, length: int, words: int, width: int, **more: Any) -> None:
        super().__init__(**more)
        self.tokens, self.positions = (
            layers.Embedding(words, width),
            layers.Embedding(length, width),
        )
        self.embed_scale = tf.math.sqrt(tf.cast(width, tf.float32))

    def call(self, inputs: Any) -> Any:
        positions = tf.range(start=0, limit=tf.shape(inputs)[-1], delta=1)
        return self.tokens(inputs) * self.embed_scale + self.positions(positions)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return tf.math.not_equal(inputs, 0)


class Decoder(layers.Layer):
    def __init__(self, width: int, **more: Any) -> None:
        super().__init__(**more)
        self.embedding = CaptionEmbedding(6, 9, width)
        self.attentions = [layers.MultiHeadAttention(2, width, dropout=0.1) for _ in range(2)]
        self.norms = [layers.LayerNormalization() for _ in range(2)]
        self.out, self.drop = layers.Dense(9, activation="softmax"), layers.Dropout(0.5)
        self.supports_masking = True

    def call(self, inputs: Any, encoded: Any, training: Any, mask: Any = None) -> Any:
        inputs = self.embedding(inputs)
        length = tf.shape(inputs)[1]
        causal = tf.cast(tf.range(length)[:, None] >= tf.range(length), "int32")
        padding = tf.cast(mask[:, :, tf.newaxis], tf.int32)
        both = tf.minimum(tf.cast(mask[:, tf.newaxis, :], tf.int32), causal)
        x = self.attentions[0](
            query=inputs, value=inputs, key=inputs, attention_mask=both, training=training
        )
        x = self.norms[0](inputs + x)
        y = self.attentions[1](
            query=x, value=encoded, key=encoded, attention_mask=padding, training=training
        )
        return self.out(self.drop(self.norms[1](x + y, training=training), training=training))


class LRSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate: float, warmup_steps: int) -> None:
        super().__init__()
        self.rate, self.warmup_steps = rate, warmup_steps

    def __call__(self, step: Any) -> Any:
        step = tf.cast(step, tf.float32)
        warm = self.rate * step / tf.cast(self.warmup_steps, tf.float32)
        return tf.cond(step < self.warmup_steps, lambda: warm, lambda: self.rate)


class Captioning(keras.Model):
    """A step that applies gradients once a caption, with a loss without a reduction."""

    def __init__(self, cnn: Any, encoder: Any, decoder: Any, image_aug: Any = None) -> None:
        super().__init__()
        self.cnn_model, self.encoder, self.decoder = cnn, encoder, decoder
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.acc_tracker = keras.metrics.Mean(name="accuracy")
        self.image_aug = image_aug

    def _loss_and_accuracy(self, embedded: Any, captions: Any, training: bool) -> Any:
        wanted = captions[:, 1:]
        mask = tf.math.not_equal(wanted, 0)
        encoded = self.encoder(embedded, training=training)
        guessed = self.decoder(captions[:, :-1], encoded, training=training, mask=mask)
        share = tf.cast(mask, "float32")
        right = tf.math.logical_and(mask, tf.equal(wanted, tf.argmax(guessed, axis=2)))
        loss = tf.reduce_sum(self.loss(wanted, guessed) * share) / tf.reduce_sum(share)
        return loss, tf.reduce_sum(tf.cast(right, "float32")) / tf.reduce_sum(share)

    def train_step(self, batch: Any) -> Any:
        images, captions = batch
        total_loss = total_accuracy = 0
        embedded = self.cnn_model(self.image_aug(images))
        for index in range(2):
            with tf.GradientTape() as tape:
                loss, accuracy = self._loss_and_accuracy(embedded, captions[:, index, :], True)
                total_loss += loss
                total_accuracy += accuracy
            weights = self.encoder.trainable_variables + self.decoder.trainable_variables
            gradients = tape.gradient(loss, weights)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self.loss_tracker.update_state(total_loss)
        self.acc_tracker.update_state(total_accuracy / 2.0)
        return {"loss": self.loss_tracker.result(), "acc": self.acc_tracker.result()}

    @property
    def metrics(self) -> Any:
        return [self.loss_tracker, self.acc_tracker]


def captioning() -> Any:
    first = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=4, padding="same")(first)
    cnn = keras.Model(first, layers.Reshape((-1, x.shape[-1]))(x))
    cnn.trainable = False
    random = [layers.RandomFlip("horizontal", seed=1), layers.RandomContrast(0.3, seed=2)]
    encoder = keras.Sequential([layers.LayerNormalization(), layers.Dense(4, activation="relu")])
    model = Captioning(cnn, encoder, Decoder(4), image_aug=keras.Sequential(random))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=False, reduction="none")
    model.compile(optimizer=keras.optimizers.Adam(LRSchedule(1e-2, 2)), loss=loss)
    return model


class FramePositions(layers.Layer):
    """video_transformers: a mask of the values of its inputs."""

    def __init__(self, length: int, width: int, **more: Any) -> None:
        super().__init__(**more)
        self.position_embeddings = layers.Embedding(length, width)

    def call(self, inputs: Any) -> Any:
        return inputs + self.position_embeddings(tf.range(0, tf.shape(inputs)[1], delta=1))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.any(ops.cast(inputs, "bool"), axis=-1)


class FrameEncoder(layers.Layer):
    def __init__(self, width: int, dense: int, **more: Any) -> None:
        super().__init__(**more)
        self.attention = layers.MultiHeadAttention(1, width, dropout=0.3)
        self.proj = keras.Sequential(
            [layers.Dense(dense, activation=tf.nn.gelu), layers.Dense(width)]
        )
        self.first, self.second = layers.LayerNormalization(), layers.LayerNormalization()

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None:
            mask = mask[:, tf.newaxis, :]
        x = self.first(inputs + self.attention(inputs, inputs, attention_mask=mask))
        return self.second(x + self.proj(x))


def video_transformer() -> Any:
    inputs = keras.Input(shape=(None, None))
    x = FramePositions(5, 6, name="frame_position_embedding")(inputs)
    x = layers.GlobalMaxPooling1D()(FrameEncoder(6, 4, name="transformer_layer")(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dropout(0.5)(x)))
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class ComplexSpectrum(layers.Layer):
    """eeg_bci_ssvepformer: a Fourier transform, layers that are made in `call`."""

    def __init__(self, nfft: int = 32) -> None:
        super().__init__()
        self.nfft = nfft

    def call(self, x: Any) -> Any:
        real, imaginary = ops.rfft(x, fft_length=self.nfft)
        parts = [part[:, :, 2:10] / x.shape[-1] for part in (real, imaginary)]
        return ops.concatenate(parts, axis=-1)


class ChannelMLP(layers.Layer):
    def __init__(self, features: int, rate: float = 0.5) -> None:
        super().__init__()
        normal = keras.initializers.RandomNormal(mean=0.0, stddev=0.01, seed=None)
        self.norm, self.mlp = (
            layers.LayerNormalization(),
            layers.Dense(features, kernel_initializer=normal),
        )
        self.activation, self.drop = layers.Activation("gelu"), layers.Dropout(rate)
        self.cat = layers.Concatenate(axis=1)

    def call(self, x: Any) -> Any:
        normed = self.norm(x)
        rows = [layers.Reshape([1, -1])(self.mlp(normed[:, i, :])) for i in range(x.shape[1])]
        return self.drop(self.activation(self.cat(rows))) + x


def brain_signals() -> Any:
    model = keras.Sequential(
        [
            keras.Input(shape=(4, 32)),
            ComplexSpectrum(),
            layers.Conv1D(8, 1, padding="same"),
            ChannelMLP(8),
            layers.Flatten(),
            layers.Dense(3),
            layers.Activation("softmax"),
        ]
    )
    rate = keras.optimizers.SGD(learning_rate=0.001, momentum=0.9, weight_decay=0.001)
    model.compile(loss="sparse_categorical_crossentropy", optimizer=rate, metrics=["accuracy"])
    return model


class SecondOrder(keras.Model):
    """debugging_tips: gradients of gradients, a counter of Python, run eagerly."""

    step_counter = 0

    def train_step(self, data: Any) -> Any:
        self.step_counter += 1
        inputs, targets = data
        weights = self.trainable_variables
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                preds = self(inputs, training=True)
                loss = self.compiled_loss(targets, preds)
            first = inner.gradient(loss, weights)
        second = outer.gradient(first, weights)
        print(f"step {self.step_counter}: max {tf.reduce_max(first[0]):.4f}")
        first = [tf.math.l2_normalize(w) for w in first]
        second = [tf.math.l2_normalize(w) for w in second]
        gradients = [0.2 * w1 + 0.8 * w2 for (w1, w2) in zip(second, first, strict=True)]
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self.compiled_metrics.update_state(targets, preds)
        return {m.name: m.result() for m in self.metrics}


def second_order() -> Any:
    inputs = keras.Input(shape=(16,))
    x = layers.Dense(6, activation="relu")(inputs)
    model = SecondOrder(inputs, layers.Dense(3, activation="softmax")(x))
    rate = keras.optimizers.schedules.InverseTimeDecay(0.1, decay_steps=2, decay_rate=0.1)
    model.compile(
        keras.optimizers.SGD(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=True,
    )
    return model


class CTCLayer(layers.Layer):
    """handwriting_recognition: a loss of an endpoint layer, of two inputs."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        self.loss_fn = tf.keras.backend.ctc_batch_cost

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ones = tf.ones(shape=(tf.shape(y_true)[0], 1), dtype="int64")
        lengths = [tf.cast(tf.shape(part)[1], "int64") * ones for part in (y_pred, y_true)]
        self.add_loss(self.loss_fn(y_true, y_pred, *lengths))
        return y_pred


def handwriting() -> Any:
    image = keras.Input(shape=(16, 8, 1), name="image")
    labels = layers.Input(name="label", shape=(None,))
    x = layers.Conv2D(4, 3, activation="relu", kernel_initializer="he_normal", padding="same")(
        image
    )
    x = layers.Reshape(target_shape=(8, 16))(layers.MaxPooling2D((2, 2))(x))
    x = layers.Dropout(0.2)(layers.Dense(6, activation="relu")(x))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True, dropout=0.25))(x)
    x = layers.Dense(7, activation="softmax", name="dense2")(x)
    model = keras.Model([image, labels], CTCLayer(name="ctc_loss")(labels, x))
    model.compile(optimizer=keras.optimizers.Adam())
    return model
