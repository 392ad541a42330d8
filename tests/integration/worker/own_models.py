"""Models of a user: one that builds itself at its first batch, one whose step never calls it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

L = keras.layers


class Mlp(keras.Model):
    def __init__(self, hidden: int = 4, **more: Any) -> None:
        super().__init__(**more)
        self.first, self.noise, self.last = L.Dense(hidden), L.Dropout(0.5), L.Dense(1)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.last(self.noise(self.first(x), training=training))


class Coder(keras.Model):
    """An autoencoder with a training step of its own, over parts that are not built before it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = keras.Sequential([L.Dense(2)]), keras.Sequential([L.Dense(3)])

    def train_step(self, data: Any) -> dict[str, Any]:
        x = data[0] if isinstance(data, tuple) else data
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.ops.square(self.outer(self.inner(x)) - x))
        variables = self.inner.trainable_weights + self.outer.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


class Counting(Coder):
    """Its steps are counted, and its noise is drawn, by variables that Keras does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = tf.Variable(0, dtype="int64")
        self.noise = tf.random.Generator.from_seed(3)

    def train_step(self, data: Any) -> dict[str, Any]:
        self.steps.assign_add(1)
        x = data[0] if isinstance(data, tuple) else data
        x = x + 0.1 * self.noise.normal(tf.shape(x))
        return {**super().train_step(x), "steps": tf.cast(self.steps, "float32")}


def counting() -> Any:
    model = Counting()
    model.compile("adam")
    return model


class Stepwise(Mlp):
    """A step of its own that returns the metrics as Keras's guides do, those of compile in one."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=predicted)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, predicted)
        return {metric.name: metric.result() for metric in self.metrics}


class Listing(Mlp):
    def train_step(self, data: Any) -> dict[str, Any]:
        return {**super().train_step(data), "each": tf.zeros(3)}


class Compiled(Mlp):
    def compile(self, optimizer: Any, teacher: Any = None) -> None:
        super().compile(optimizer=optimizer)


def stepwise() -> Any:
    return Stepwise()


def listing() -> Any:
    return Listing()


def compiled() -> Any:
    return Compiled()


def mlp(hidden: int = 4) -> Any:
    return Mlp(hidden)


def coder() -> Any:
    return Coder()


class Closed(Mlp):
    """Takes nothing that Keras writes into every model's config."""

    def __init__(self) -> None:
        super().__init__()


def closed() -> Any:
    return Closed()


def _dense(units: int) -> Any:
    """The same first weights in every model that is made of it."""
    return L.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed=units))


@keras.saving.register_keras_serializable(package="own_models")
class Endpoint(L.Layer):
    """Takes labels as an input, and adds the loss itself."""

    def call(self, labels: Any, predicted: Any) -> Any:
        self.add_loss(keras.ops.mean(keras.ops.square(labels - predicted)))
        return predicted


def endpoint() -> Any:
    x, labels = keras.Input((3,), name="x"), keras.Input((1,), name="y")
    return keras.Model({"x": x, "y": labels}, Endpoint(name="end")(labels, _dense(1)(x)))


class Distiller(keras.Model):
    """A `compile` with arguments of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher = (
            keras.Sequential([keras.Input((3,)), _dense(units), _dense(1)]) for units in (2, 4)
        )

    def compile(self, optimizer: Any, student_loss: Any, alpha: float = 0.1) -> None:
        super().compile(optimizer=optimizer)
        self.student_loss, self.alpha = student_loss, alpha

    def call(self, x: Any) -> Any:
        return self.student(x)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any
    ) -> Any:
        taught = keras.ops.mean(keras.ops.square(self.teacher(x) - y_pred))
        return self.alpha * self.student_loss(y, y_pred) + (1 - self.alpha) * taught


def distiller() -> Any:
    model = Distiller()
    model.compile(keras.optimizers.Adam(0.01), keras.losses.MeanAbsoluteError())
    return model


class Gan(keras.Model):
    """Two optimizers, a step over inputs alone, and no loss that Keras knows of."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.Sequential([keras.Input((3,)), _dense(3)])
        self.judge = keras.Sequential([keras.Input((3,)), _dense(4), _dense(1)])

    def compile(self, judging: Any, generating: Any) -> None:
        super().compile()
        self.judging, self.generating = judging, generating

    def call(self, x: Any) -> Any:
        return self.judge(self.generator(x))

    def train_step(self, data: Any) -> dict[str, Any]:
        assert not isinstance(data, tuple | list)
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.ops.square(1.0 - self.judge(data)) + self(data) ** 2)
        weights = self.judge.trainable_weights
        self.judging.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            other = keras.ops.mean(keras.ops.square(1.0 - self(data)))
        weights = self.generator.trainable_weights
        self.generating.apply_gradients(zip(tape.gradient(other, weights), weights, strict=True))
        return {"loss": loss, "other": other}


def gan() -> Any:
    model = Gan()
    model.compile(keras.optimizers.Adam(0.02), keras.optimizers.RMSprop(0.01))
    return model
