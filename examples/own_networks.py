"""Code of one's own that the workers run: a model with its own training step, and a loss.

`ff.local(trusted_modules=["own_networks"], module_path=["examples"])`.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


class Vae(keras.Model):
    """A variational autoencoder of rows, shape (batch, features), each value 0 to 1."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.hidden = layers.Dense(16, activation="relu")
        self.mean, self.log_variance = layers.Dense(latent), layers.Dense(latent)
        self.decoder = keras.Sequential(
            [
                layers.Input((latent,)),
                layers.Dense(16, activation="relu"),
                layers.Dense(features, activation="sigmoid"),
            ]
        )
        # fitfleet sets its state before each epoch, so that a resumed fit draws the same.
        self.draws = keras.random.SeedGenerator(0)

    def call(self, x: Any) -> Any:
        """What is decoded from the mean."""
        return self.decoder(self.mean(self.hidden(x)))

    def train_step(self, data: Any) -> dict[str, Any]:
        """Reconstruction, and the distance from a normal distribution."""
        x, _ = data
        with tf.GradientTape() as tape:
            hidden = self.hidden(x)
            mean, log_variance = self.mean(hidden), self.log_variance(hidden)
            noise = keras.random.normal(ops.shape(mean), seed=self.draws)
            decoded = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
            wrong = ops.mean(ops.sum(ops.square(x - decoded), axis=1))
            spread = 1.0 + log_variance - ops.square(mean) - ops.exp(log_variance)
            distance = -0.5 * ops.mean(ops.sum(spread, axis=1))
            loss = wrong + distance
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, "reconstruction": wrong, "distance": distance}


def vae(features: int, latent: int) -> keras.Model:
    """The builder."""
    return Vae(features, latent)


@keras.saving.register_keras_serializable(package="own_networks")
def contrastive(y_true: Any, y_pred: Any) -> Any:
    """Pairs of one class (1) near each other, others at least 1 apart; y_pred is a distance."""
    apart = ops.square(ops.maximum(1.0 - y_pred, 0.0))
    return ops.mean(y_true * ops.square(y_pred) + (1.0 - y_true) * apart, axis=-1)
