"""One job of every kind whose exact resume has to be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fitfleet as ff

L = ff.layers


def _sequential(*layers: Any) -> Any:
    return ff.Sequential([L.Input((5, 3)), *layers])


def _stateful() -> Any:
    model = ff.Sequential([L.Input(batch_shape=(8, 5, 3)), L.LSTM(4, stateful=True), L.Dense(1)])
    return model


def _encoder_decoder() -> Any:
    import keras

    layers = keras.layers
    source, target = keras.Input((4,), name="source"), keras.Input((4,), name="target")
    embedded = layers.Embedding(10, 4, mask_zero=True)(source)
    _, *states = layers.LSTM(4, return_state=True, recurrent_dropout=0.1)(embedded)
    decoded = layers.LSTM(4, return_sequences=True)(
        layers.Embedding(10, 4)(target), initial_state=states
    )
    return keras.Model([source, target], layers.Dense(10, activation="softmax")(decoded))


def _two_and_two() -> Any:
    import keras

    layers = keras.layers
    first, second = keras.Input((3,), name="first"), keras.Input((2,), name="second")
    joined = layers.Dropout(0.3)(layers.Concatenate()([first, second]))
    mean = layers.Dense(1, name="mean")(joined)
    kind = layers.Dense(2, activation="softmax", name="kind")(joined)
    return keras.Model([first, second], [mean, kind])


def _arrays(x: Any, y: Any, **more: Any) -> dict[str, Any]:
    """Names of the training arrays, and the same of the other parts."""

    def of(part: str, names: Any) -> Any:
        if isinstance(names, dict):
            return {key: f"{value}_{part}" for key, value in names.items()}
        return (
            [f"{name}_{part}" for name in names] if isinstance(names, list) else f"{names}_{part}"
        )

    arrays = {"x": of("train", x), "y": of("train", y)}
    for part in ("val", "test"):
        arrays |= {f"x_{part}": of(part, x), f"y_{part}": of(part, y)}
    return arrays | more


NOISY = [L.LSTM(4, dropout=0.2, recurrent_dropout=0.2), L.BatchNormalization()]
NOISY += [L.GaussianNoise(0.1), L.Dropout(0.3), L.Dense(1)]
STOP = {"EarlyStopping": {"monitor": "val_loss", "patience": 2, "min_delta": 0.1}}
STOP["EarlyStopping"]["restore_best_weights"] = True
PLATEAU = {"ReduceLROnPlateau": {"monitor": "val_loss", "patience": 1, "min_delta": 0.05}}
SCHEDULE = {"class_name": "ExponentialDecay", "config": {}}
SCHEDULE["config"] = {"initial_learning_rate": 0.01, "decay_steps": 3, "decay_rate": 0.5}


def kinds(data: Path) -> dict[str, dict[str, Any]]:
    """Name -> what makes the job of that kind differ from the plain one."""
    path = {"path": str(data)}
    return {
        "noisy": {
            "model": _sequential(*NOISY),
            "callbacks": [PLATEAU],
            "metrics": ["mae"],
            "steps_per_execution": 5,
        },
        "stopping": {
            "model": _sequential(L.Flatten(), L.Dropout(0.5), L.Dense(1)),
            "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.02}},
            "callbacks": [STOP],
            "epochs": 12,
        },
        "stateful": {"model": _stateful(), "shuffle": False},
        "stateful for ever": {
            "model": _stateful(),
            "shuffle": False,
            "reset_states": "never",
        },
        "encoder decoder": {
            "model": _encoder_decoder(),
            "dataset": {**path, **_arrays({"source": "token", "target": "token"}, "next")},
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
        },
        "lists": {
            "model": _two_and_two(),
            "dataset": {**path, **_arrays(["first", "second"], ["mean", "class"])},
            "loss": ["mse", "sparse_categorical_crossentropy"],
            "loss_weights": [1.0, 0.5],
        },
        "weights and a schedule": {
            "model": _sequential(L.Flatten(), L.Dense(2, activation="softmax")),
            "dataset": {
                **path,
                **_arrays("x", "class", sample_weight="weight_train"),
            },
            "loss": "sparse_categorical_crossentropy",
            "callbacks": [{"LearningRateScheduler": {"schedule": SCHEDULE}}],
            "validation_batch_size": 4,
        },
        "averaged": {
            "model": _sequential(L.Flatten(), L.Dense(1)),
            "optimizer": {"class_name": "Adam", "config": {"use_ema": True}},
            "class_weight": None,
            "validation_split": 0.2,
            "dataset": {
                **path,
                "x": "x_train",
                "y": "y_train",
                "x_test": "x_test",
                "y_test": "y_test",
            },
        },
    }
