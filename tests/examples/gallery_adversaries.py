"""Models of Keras's example gallery in which two networks train each other, each small.

Pictures are (8, 8, 3).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


def _networks() -> tuple[Any, Any]:
    noise = keras.Input(shape=(4,))
    x = layers.Dense(4 * 4 * 4, use_bias=False)(noise)
    x = layers.ReLU()(layers.BatchNormalization(scale=False)(x))
    x = layers.Reshape(target_shape=(4, 4, 4))(x)
    x = layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="sigmoid")(x)
    picture = keras.Input(shape=(8, 8, 3))
    y = layers.Conv2D(4, 4, strides=2, padding="same", use_bias=False)(picture)
    y = layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization(scale=False)(y))
    y = layers.Dense(1)(layers.Dropout(0.4)(layers.Flatten()(y)))
    return keras.Model(noise, x, name="generator"), keras.Model(picture, y, name="discriminator")


class AdaptiveAugmenter(keras.Model):
    """Its probability is a variable that train_step moves, and no gradient does."""

    def __init__(self) -> None:
        super().__init__()
        self.probability = keras.Variable(0.5, trainable=False)
        self.seeds = keras.random.SeedGenerator(42)
        flip = layers.RandomFlip("horizontal", seed=1)
        moved = layers.RandomTranslation(0.125, 0.125, interpolation="nearest", seed=2)
        self.augmenter = keras.Sequential(
            [keras.Input((8, 8, 3)), flip, moved], name="adaptive_augmenter"
        )

    def call(self, images: Any, training: bool) -> Any:
        if training:
            values = keras.random.uniform((ops.shape(images)[0], 1, 1, 1), seed=self.seeds)
            is_augmented = ops.less(values, self.probability)
            images = ops.where(is_augmented, self.augmenter(images, training=training), images)
        return images

    def update(self, real_logits: Any) -> None:
        error = ops.mean(0.5 * (1.0 + ops.sign(real_logits))) - 0.8
        self.probability.assign(ops.clip(self.probability + error / 100, 0.0, 1.0))


class KID(keras.metrics.Metric):
    """A metric with a network of its own, of real and generated pictures."""

    def __init__(self, name: str = "kid", **more: Any) -> None:
        super().__init__(name=name, **more)
        self.kid_tracker = keras.metrics.Mean(name="kid_tracker")
        self.encoder = keras.Sequential(
            [keras.Input((8, 8, 3)), layers.Rescaling(255.0), layers.Resizing(4, 4)]
        )

    def update_state(self, real: Any, generated: Any, sample_weight: Any = None) -> None:
        one, other = (ops.reshape(self.encoder(part), (-1, 48)) for part in (real, generated))
        cross = (ops.matmul(one, ops.transpose(other)) / 48.0 + 1.0) ** 3.0
        self.kid_tracker.update_state(-2.0 * ops.mean(cross))

    def result(self) -> Any:
        return self.kid_tracker.result()

    def reset_state(self) -> None:
        self.kid_tracker.reset_state()


class GanAda(keras.Model):
    """gan_ada: two optimizers, a running mean of a network, a metric for the test alone."""

    def __init__(self) -> None:
        super().__init__()
        self.augmenter, self.seeds = AdaptiveAugmenter(), keras.random.SeedGenerator(3)
        self.generator, self.discriminator = _networks()
        self.ema_generator = keras.models.clone_model(self.generator)

    def compile(self, generator_optimizer: Any, discriminator_optimizer: Any, **more: Any) -> None:
        super().compile(**more)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.generator_loss_tracker = keras.metrics.Mean(name="g_loss")
        self.real_accuracy = keras.metrics.BinaryAccuracy(name="real_acc")
        self.probability_tracker = keras.metrics.Mean(name="aug_p")
        self.kid = KID()

    @property
    def metrics(self) -> Any:
        return [
            self.generator_loss_tracker, self.real_accuracy, self.probability_tracker, self.kid
        ]  # fmt: skip

    def generate(self, count: Any, training: bool) -> Any:
        noise = keras.random.normal((count, 4), seed=self.seeds)
        network = self.generator if training else self.ema_generator
        return network(noise, training=training)

    def train_step(self, real: Any) -> Any:
        real = self.augmenter(real, training=True)
        count = ops.shape(real)[0]
        with tf.GradientTape(persistent=True) as tape:
            made = self.augmenter(self.generate(count, training=True), training=True)
            real_logits = self.discriminator(real, training=True)
            made_logits = self.discriminator(made, training=True)
            ones, zeros = ops.ones((count, 1)), ops.zeros((count, 1))
            entropy = keras.losses.binary_crossentropy
            g_loss = ops.mean(entropy(ones, made_logits, from_logits=True))
            d_loss = ops.mean(
                entropy(
                    ops.concatenate([ones, zeros], axis=0),
                    ops.concatenate([real_logits, made_logits], axis=0),
                    from_logits=True,
                )
            )
        for loss, network, optimizer in (
            (g_loss, self.generator, self.generator_optimizer),
            (d_loss, self.discriminator, self.discriminator_optimizer),
        ):
            gradients = tape.gradient(loss, network.trainable_weights)
            optimizer.apply_gradients(zip(gradients, network.trainable_weights, strict=True))
        self.augmenter.update(real_logits)
        self.generator_loss_tracker.update_state(g_loss)
        self.real_accuracy.update_state(ones, 0.5 * (1.0 + ops.sign(real_logits)))
        self.probability_tracker.update_state(self.augmenter.probability)
        for weight, mean in zip(self.generator.weights, self.ema_generator.weights, strict=True):
            mean.assign(0.99 * mean + 0.01 * weight)
        return {m.name: m.result() for m in self.metrics[:-1]}

    def test_step(self, real: Any) -> Any:
        self.kid.update_state(real, self.generate(ops.shape(real)[0], training=False))
        return {self.kid.name: self.kid.result()}


def gan_ada() -> Any:
    model = GanAda()
    rate, beta = 2e-4, 0.5
    model.compile(
        generator_optimizer=keras.optimizers.Adam(rate, beta),
        discriminator_optimizer=keras.optimizers.Adam(rate, beta),
    )
    return model


class Spade(layers.Layer):
    def __init__(self, filters: int, epsilon: float = 1e-5, **more: Any) -> None:
        super().__init__(**more)
        self.epsilon, self.filters = epsilon, filters
        self.conv = layers.Conv2D(4, 3, padding="same", activation="relu")
        self.conv_gamma = layers.Conv2D(filters, 3, padding="same")
        self.conv_beta = layers.Conv2D(filters, 3, padding="same")

    def build(self, input_shape: Any) -> None:
        self.resize_shape = input_shape[1:3]

    def call(self, input_tensor: Any, raw_mask: Any) -> Any:
        x = self.conv(ops.image.resize(raw_mask, self.resize_shape, interpolation="nearest"))
        mean, var = ops.moments(input_tensor, axes=(0, 1, 2), keepdims=True)
        normalized = (input_tensor - mean) / ops.sqrt(var + self.epsilon)
        return self.conv_gamma(x) * normalized + self.conv_beta(x)


class FeatureMatchingLoss(keras.losses.Loss):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.mae = keras.losses.MeanAbsoluteError()

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return sum(self.mae(y_true[i], y_pred[i]) for i in range(len(y_true) - 1))


class GauGAN(keras.Model):
    """gaugan: batches of three arrays, networks frozen in turn in the step, a Hinge loss."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim, self.seeds = latent_dim, keras.random.SeedGenerator(1)
        picture, mask = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
        x = layers.Flatten()(layers.Conv2D(4, 3, strides=2, padding="same")(picture))
        moments = [layers.Dense(latent_dim, name=name)(x) for name in ("mean", "variance")]
        self.encoder = keras.Model(picture, moments, name="encoder")
        latent = keras.Input((latent_dim,))
        x = layers.Reshape((4, 4, 4))(layers.Dense(64)(latent))
        x = layers.UpSampling2D()(Spade(4)(x, mask))
        x = ops.tanh(layers.Conv2D(3, 4, padding="same")(ops.leaky_relu(x, 0.2)))
        self.generator = keras.Model([latent, mask], x, name="generator")
        first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
        x1 = layers.Conv2D(4, 4, 2, padding="same")(layers.Concatenate()([first, second]))
        x2 = layers.GroupNormalization(groups=-1)(layers.Conv2D(4, 3, padding="same")(x1))
        judged = [x1, x2, layers.Conv2D(1, 4)(x2)]
        self.discriminator = keras.Model([first, second], judged, name="discriminator")
        names = ("disc_loss", "gen_loss", "kl_loss")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self) -> Any:
        return self.trackers

    def compile(self, gen_lr: float = 1e-4, disc_lr: float = 4e-4, **more: Any) -> None:
        super().compile(**more)
        self.generator_optimizer = keras.optimizers.Adam(gen_lr, beta_1=0.0, beta_2=0.999)
        self.discriminator_optimizer = keras.optimizers.Adam(disc_lr, beta_1=0.0, beta_2=0.999)
        self.hinge, self.matching = keras.losses.Hinge(), FeatureMatchingLoss()

    def train_discriminator(self, latent: Any, segments: Any, image: Any, labels: Any) -> Any:
        fake = self.generator([latent, labels])
        self.discriminator.trainable = True
        with tf.GradientTape() as tape:
            judged = [self.discriminator([segments, part])[-1] for part in (fake, image)]
            loss = 0.5 * (self.hinge(-1.0, judged[0]) + self.hinge(1.0, judged[1]))
        weights = self.discriminator.trainable_variables
        gradients = tape.gradient(loss, weights)
        self.discriminator_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return loss

    def train_step(self, data: Any) -> Any:
        segments, image, labels = data
        mean, variance = self.encoder(image)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        latent = mean + ops.exp(0.5 * variance) * noise
        disc_loss = self.train_discriminator(latent, segments, image, labels)
        self.discriminator.trainable = False
        with tf.GradientTape() as tape:
            mean, variance = self.encoder(image)
            latent = mean + ops.exp(0.5 * variance) * noise
            real = self.discriminator([segments, image])
            fake = self.discriminator([segments, self.generator([latent, labels])])
            kl_loss = -0.05 * ops.sum(1 + variance - ops.square(mean) - ops.exp(variance))
            gen_loss = kl_loss - ops.mean(fake[-1]) + 10 * self.matching(real, fake)
        weights = self.generator.trainable_variables + self.encoder.trainable_variables
        gradients = tape.gradient(gen_loss, weights)
        self.generator_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        for tracker, loss in zip(self.trackers, (disc_loss, gen_loss, kl_loss), strict=True):
            tracker.update_state(loss)
        return {m.name: m.result() for m in self.metrics}

    def call(self, inputs: Any) -> Any:
        return self.generator(inputs)


def gaugan() -> Any:
    model = GauGAN(latent_dim=4)
    model.compile()
    return model
