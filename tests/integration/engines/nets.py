"""Small models, each with its data: what the engines are compared on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from fitfleet.data.arrays import Arrays

L = keras.layers
ROWS = 50


@dataclass
class Net:
    """A model's builder, its data, and what compile and fit are told."""

    build: Callable[[], Any]
    arrays: Arrays
    given: dict[str, Any] = field(default_factory=dict)


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape, dtype="float32")


def _labels(rows: int, classes: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, classes, rows)


def _one_hot(rows: int, classes: int) -> np.ndarray:
    return np.eye(classes, dtype="float32")[_labels(rows, classes)]


def _classes(*shape: int, classes: int = 4, rows: int = ROWS) -> Arrays:
    x, y = _random(rows, *shape), _one_hot(rows, classes)
    return Arrays(x=x, y=y, x_val=x[:13], y_val=y[:13])


SOFTMAX = {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}


def mlp() -> Net:
    build = lambda: keras.Sequential(  # noqa: E731
        [
            keras.Input((6,)),
            L.Dense(8, activation="relu", kernel_regularizer="l2"),
            L.Dropout(0.3),
            L.BatchNormalization(),
            L.Dense(4, activation="softmax"),
        ]
    )
    return Net(build, _classes(6), {**SOFTMAX, "optimizer": "adam"})


def stacked_lstm() -> Net:
    build = lambda: keras.Sequential(  # noqa: E731
        [
            keras.Input((5, 3)),
            L.LSTM(6, return_sequences=True),
            L.LSTM(6, return_sequences=True),
            L.LSTM(6),
            L.Dense(4, activation="softmax"),
        ]
    )
    return Net(build, _classes(5, 3), {**SOFTMAX, "optimizer": "rmsprop"})


def embedding_lstm() -> Net:
    x = np.random.default_rng(0).integers(0, 20, (ROWS, 7))
    y = (x.mean(1, keepdims=True) > 10).astype("float32")
    build = lambda: keras.Sequential(  # noqa: E731
        [
            keras.Input((7,), dtype="int64"),
            L.Embedding(20, 5, mask_zero=True),
            L.LSTM(6, recurrent_dropout=0.2),
            L.Dropout(0.5),
            L.Dense(1, activation="sigmoid"),
        ]
    )
    arrays = Arrays(x=x, y=y, x_val=x[:9], y_val=y[:9])
    given = {"optimizer": "rmsprop", "loss": "binary_crossentropy", "metrics": ["accuracy", "AUC"]}
    return Net(build, arrays, given)


def shared_embedding() -> Net:
    def build() -> Any:
        words, table = keras.Input((7,), dtype="int64"), L.Embedding(20, 5)
        both = L.Concatenate()([table(words), table(words)])
        return keras.Model(words, L.Dense(1, activation="sigmoid")(L.Flatten()(both)))

    return Net(build, embedding_lstm().arrays, {"loss": "mse", "optimizer": "sgd"})


def stateful_lstm() -> Net:
    build = lambda: keras.Sequential(  # noqa: E731
        [
            keras.Input(batch_shape=(10, 5, 3)),
            L.LSTM(6, stateful=True, return_sequences=True),
            L.LSTM(6, stateful=True),
            L.Dense(4, activation="softmax"),
        ]
    )
    arrays = _classes(5, 3)
    arrays = Arrays(x=arrays.x, y=arrays.y, x_val=arrays.x[:20], y_val=arrays.y[:20])
    return Net(
        build, arrays, {**SOFTMAX, "optimizer": "rmsprop", "shuffle": False, "batch_size": 10}
    )


def stateful_kept() -> Net:
    net = stateful_lstm()
    net.given["reset_states"] = "never"
    return net


def convolution() -> Net:
    build = lambda: keras.Sequential(  # noqa: E731
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(4, 3, activation="relu"),
            L.BatchNormalization(),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(4, activation="softmax"),
        ]
    )
    given = {
        "optimizer": {"SGD": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}},
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
    }
    x = _random(ROWS, 8, 8, 1)
    y = _labels(ROWS, 4)
    return Net(build, Arrays(x=x, y=y, x_val=x[:13], y_val=y[:13]), given)


def two_inputs_two_outputs() -> Net:
    def build() -> Any:
        a, b = keras.Input((4,), name="a"), keras.Input((5, 2), name="b")
        h = L.Concatenate()([L.Dense(6, activation="tanh")(a), L.GRU(5)(b)])
        return keras.Model(
            {"a": a, "b": b},
            {"p": L.Dense(1, name="p")(h), "q": L.Dense(3, activation="softmax", name="q")(h)},
        )

    x = {"a": _random(ROWS, 4), "b": _random(ROWS, 5, 2)}
    y = {"p": _random(ROWS, 1), "q": _one_hot(ROWS, 3)}
    val = {"x_val": {k: v[:11] for k, v in x.items()}, "y_val": {k: v[:11] for k, v in y.items()}}
    given = {
        "optimizer": "adam",
        "loss": {"p": "mse", "q": "categorical_crossentropy"},
        "loss_weights": {"p": 0.3, "q": 1.0},
        "metrics": {"p": ["mae"], "q": ["accuracy"]},
    }
    return Net(build, Arrays(x=x, y=y, **val), given)


def encoder_decoder() -> Net:
    def build() -> Any:
        # The names of a functional model are part of what a stored program is found by.
        source, target = keras.Input((5, 3), name="source"), keras.Input((4, 3), name="target")
        _, h, c = L.LSTM(6, return_state=True, name="encoder")(source)
        out = L.LSTM(6, return_sequences=True, name="decoder")(target, initial_state=[h, c])
        steps = L.TimeDistributed(L.Dense(2, name="each"), name="steps")
        return keras.Model([source, target], steps(out), name="encoder_decoder")

    x = [_random(ROWS, 5, 3), _random(ROWS, 4, 3)]
    y = _random(ROWS, 4, 2)
    arrays = Arrays(x=x, y=y, x_val=[v[:9] for v in x], y_val=y[:9])
    return Net(
        build,
        arrays,
        {"optimizer": "nadam", "loss": "mse", "metrics": ["mae", "mape", "cosine_similarity"]},
    )


def bidirectional() -> Net:
    build = lambda: keras.Sequential(  # noqa: E731
        [
            keras.Input((5, 3)),
            L.Bidirectional(L.GRU(4, return_sequences=True)),
            L.RNN([L.LSTMCell(3), L.SimpleRNNCell(4)]),
            L.GaussianNoise(0.1),
            L.Dense(4, activation="softmax"),
        ]
    )
    return Net(build, _classes(5, 3), {**SOFTMAX, "optimizer": {"AdamW": {"clipnorm": 0.5}}})


def weighted() -> Net:
    net = mlp()
    arrays = net.arrays
    net.arrays = Arrays(
        x=arrays.x,
        y=arrays.y,
        sample_weight=_random(ROWS),
        x_val=arrays.x_val,
        y_val=arrays.y_val,
        sample_weight_val=_random(13),
    )
    net.given["weighted_metrics"] = ["accuracy"]
    return net


def class_weighted() -> Net:
    net = convolution()
    net.given["class_weight"] = {0: 1.0, 1: 2.0, 2: 0.5, 3: 1.5}
    return net


def callbacks() -> Net:
    net = mlp()
    net.given |= {
        "epochs": 9,
        "callbacks": [
            {"ReduceLROnPlateau": {"patience": 1, "min_delta": 0.05, "factor": 0.5}},
            {"EarlyStopping": {"patience": 2, "min_delta": 0.02, "restore_best_weights": True}},
        ],
    }
    return net


def scheduled() -> Net:
    net = mlp()
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9)
    net.given["optimizer"] = keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.9)
    return net


def accumulated() -> Net:
    net = mlp()
    net.given["optimizer"] = keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)
    return net


def mixed() -> Net:
    return _with_policy("mixed_float16")


def double() -> Net:
    return _with_policy("float64")


def _with_policy(policy: str) -> Net:
    net = mlp()
    net.given["dtype_policy"] = policy
    return net


def split() -> Net:
    net = stacked_lstm()
    net.arrays = Arrays(x=net.arrays.x, y=net.arrays.y)
    net.given["validation_split"] = 0.25
    return net


def unlabelled_validation_free() -> Net:
    net = mlp()
    net.arrays = Arrays(x=net.arrays.x, y=net.arrays.y)
    return net


def convolutional_recurrent() -> Net:
    build = lambda: keras.Sequential(  # noqa: E731
        [
            keras.Input((3, 6, 2)),
            L.ConvLSTM1D(3, 2),
            L.Flatten(),
            L.LayerNormalization(),
            L.Dense(4, activation="softmax"),
        ]
    )
    return Net(build, _classes(3, 6, 2), {**SOFTMAX, "optimizer": "adagrad"})


def transformer() -> Net:
    """Attention over many steps of one feature, normalised: a graph that TensorFlow rewrites."""

    def block(inputs: Any) -> Any:
        attended = L.MultiHeadAttention(num_heads=2, key_dim=4, dropout=0.25)(inputs, inputs)
        inner = L.LayerNormalization(epsilon=1e-6)(L.Dropout(0.25)(attended)) + inputs
        outer = L.Conv1D(1, 1)(L.Conv1D(4, 1, activation="relu")(inner))
        return L.LayerNormalization(epsilon=1e-6)(outer) + inner

    def build() -> Any:
        source = keras.Input((20, 1))
        pooled = L.GlobalAveragePooling1D(data_format="channels_first")(block(block(source)))
        hidden = L.Dense(8, activation="relu")(pooled)
        return keras.Model(source, L.Dense(4, activation="softmax")(hidden))

    return Net(build, _classes(20, 1), {**SOFTMAX, "optimizer": "adam"})


ALL = {
    f.__name__: f
    for f in (
        mlp,
        stacked_lstm,
        embedding_lstm,
        stateful_lstm,
        stateful_kept,
        convolution,
        two_inputs_two_outputs,
        encoder_decoder,
        bidirectional,
        weighted,
        class_weighted,
        callbacks,
        scheduled,
        accumulated,
        mixed,
        double,
        split,
        unlabelled_validation_free,
        convolutional_recurrent,
        transformer,
    )
}
