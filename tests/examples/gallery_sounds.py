"""Models of Keras's example gallery on sounds, each small. Sounds are (64, 1)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


class WeightNormalization(layers.Layer):
    def __init__(self, layer: Any, **more: Any) -> None:
        super().__init__(**more)
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        self.layer.build(input_shape)
        self.v = self.layer.kernel
        self.g = self.add_weight(name="wn_scale", shape=(self.v.shape[-1],), initializer="ones")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        kernel = self.layer.kernel
        norm = ops.sqrt(ops.sum(ops.square(kernel), axis=(0, 1), keepdims=True))
        kernel = kernel * (self.g / (norm + 1e-6))
        padding, strides = self.layer.padding.upper(), self.layer.strides[0]
        return tf.nn.conv1d(inputs, kernel, stride=strides, padding=padding)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)


class MelSpec(layers.Layer):
    def __init__(self, frame_length: int = 16, frame_step: int = 8, **more: Any) -> None:
        super().__init__(**more)
        self.frame_length, self.frame_step = frame_length, frame_step
        self.mel_filterbank = tf.signal.linear_to_mel_weight_matrix(
            num_mel_bins=4, num_spectrogram_bins=frame_length // 2 + 1, sample_rate=200,
            lower_edge_hertz=5, upper_edge_hertz=90,
        )  # fmt: skip

    def call(self, audio: Any) -> Any:
        wave = ops.squeeze(audio, -1)
        stft = tf.signal.stft(wave, self.frame_length, self.frame_step, pad_end=True)
        mel = ops.matmul(ops.square(ops.abs(stft)), self.mel_filterbank)
        return 10.0 * ops.log(ops.maximum(mel, 1e-6)) / ops.log(10.0)


def _convolved(filters: int, size: int, **more: Any) -> Any:
    given = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    return WeightNormalization(layers.Conv1D(filters, size, **(given | more)))


class MelGAN(keras.Model):
    """melgan_spectrogram_inversion: losses as functions that `compile` gets, a layer in a layer."""

    def __init__(self, generator: Any, discriminator: Any, **more: Any) -> None:
        super().__init__(**more)
        self.generator, self.discriminator = generator, discriminator

    def compile(self, gen_optimizer: Any, disc_optimizer: Any, generator_loss: Any) -> None:
        super().compile()
        self.gen_optimizer, self.disc_optimizer = gen_optimizer, disc_optimizer
        self.generator_loss = generator_loss
        self.gen_loss_tracker = keras.metrics.Mean(name="gen_loss")
        self.disc_loss_tracker = keras.metrics.Mean(name="disc_loss")

    def train_step(self, batch: Any) -> Any:
        x_batch, y_batch = batch
        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            wave = self.generator(x_batch, training=True)
            real, fake = self.discriminator(y_batch), self.discriminator(wave)
            gen_loss = self.generator_loss(real, fake)
            disc_loss = ops.mean(ops.square(1 - real[-1])) + ops.mean(ops.square(fake[-1]))
        for tape, loss, network, optimizer in (
            (gen_tape, gen_loss, self.generator, self.gen_optimizer),
            (disc_tape, disc_loss, self.discriminator, self.disc_optimizer),
        ):
            gradients = tape.gradient(loss, network.trainable_weights)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        self.gen_loss_tracker.update_state(gen_loss)
        self.disc_loss_tracker.update_state(disc_loss)
        return {
            "gen_loss": self.gen_loss_tracker.result(),
            "disc_loss": self.disc_loss_tracker.result(),
        }


def _generator_loss(real: Any, fake: Any) -> Any:
    matched = [ops.mean(ops.abs(real[i] - fake[i])) for i in range(len(fake) - 1)]
    return ops.mean(ops.square(1 - fake[-1])) + 10 * ops.mean(ops.stack(matched))


def melgan() -> Any:
    wave = keras.Input((64, 1))
    x = layers.LeakyReLU()(layers.Conv1D(4, 7, padding="same")(MelSpec()(wave)))
    x = layers.LeakyReLU()(_convolved(4, 3)(layers.UpSampling1D(8)(x)))
    generator = keras.Model(wave, _convolved(1, 7)(layers.Add()([x, _convolved(4, 1)(x)])))
    heard = keras.Input((64, 1))
    y1 = layers.LeakyReLU()(_convolved(4, 5, strides=2)(heard))
    y2 = layers.LeakyReLU()(_convolved(4, 3)(y1))
    model = MelGAN(generator, keras.Model(heard, [y1, y2, _convolved(1, 3)(y2)]))
    model.compile(
        keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9, clipnorm=1),
        keras.optimizers.Adam(4e-4, beta_1=0.5, beta_2=0.9, clipnorm=1),
        _generator_loss,
    )
    return model


@keras.saving.register_keras_serializable(package="gallery")
class TimeFrequency(layers.Layer):
    """vocal_track_separation: layers made in `build`, after names of classes, in a flat list."""

    conv_cls = layers.Conv2D

    def __init__(self, channels: int, length: int, **more: Any) -> None:
        super().__init__(**more)
        self.channels, self.length = channels, length

    def build(self, *_: Any) -> None:
        self.norm = layers.GroupNormalization(groups=-1)
        self.blocks = []
        for _number in range(self.length):
            self.blocks.append(self.conv_cls(self.channels, 3, padding="same", use_bias=False))
            self.blocks.append(layers.Dense(4, use_bias=False))

    def call(self, x: Any) -> Any:
        for i in range(0, len(self.blocks), 2):
            x = self.blocks[i](ops.gelu(self.norm(x) if i == 0 else x))
            x = ops.swapaxes(self.blocks[i + 1](ops.swapaxes(x, -1, -2)), -1, -2)
        return x

    def get_config(self) -> Any:
        return super().get_config() | {"channels": self.channels, "length": self.length}


def spectral_loss(y_true: Any, y_pred: Any) -> Any:
    real, imaginary = ops.stft(ops.reshape(y_true, (-1, 64)), 16, 8, 16)
    x, y = ops.stft(ops.reshape(y_pred, (-1, 64)), 16, 8, 16)
    return ops.mean(ops.abs(real - x)) + ops.mean(ops.abs(imaginary - y))


def sdr(y_true: Any, y_pred: Any) -> Any:
    """The ratio of a signal to its distortion, as a metric."""
    num = ops.sum(ops.square(y_true), axis=-1) + 1e-8
    den = ops.sum(ops.square(y_true - y_pred), axis=-1) + 1e-8
    return 10 * ops.log10(num / den)


def vocal_track() -> Any:
    """Short-time Fourier transforms on tensors, gradients that are accumulated."""
    inputs = keras.Input((64,))
    real, imaginary = ops.stft(inputs, 16, 8, 16)
    both = ops.stack([real, imaginary], axis=-1)
    x = ops.split(both, [8], axis=2)[0]
    x = TimeFrequency(4, 2)(layers.Conv2D(4, 1)(x)[:, :, :4])
    x = layers.Dense(8)(ops.reshape(x, (-1, 9, 16)))
    outputs = ops.expand_dims(layers.Dense(64)(layers.Flatten()(x)), 1)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.Adam(5e-5, gradient_accumulation_steps=2)
    model.compile(optimizer=optimizer, loss=spectral_loss, metrics=[sdr])
    return model


def spectrograms() -> Any:
    """stft: spectrograms of two kinds, made by layers of Keras."""
    inputs = keras.Input((64, 1))
    parts = [
        layers.STFTSpectrogram(
            mode=mode, frame_length=16, frame_step=8, fft_length=16, trainable=False
        )(inputs)
        for mode in ("log", "angle")
    ]
    x = layers.Concatenate()([layers.Reshape((7, 9, 1))(part) for part in parts])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
