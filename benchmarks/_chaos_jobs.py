"""The jobs of the chaos run: small LSTMs and MLPs, each with something that a resume can forget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fitfleet.spec.parts import layers

_SCHEDULE = {
    "class_name": "ExponentialDecay",
    "config": {"initial_learning_rate": 0.01, "decay_steps": 100, "decay_rate": 0.9},
}
_STOPPING = {"patience": 8, "restore_best_weights": True}


def _model(*more: Any) -> Any:
    return layers.Sequential([layers.Input((8, 3)), *more, layers.Dense(1)])


def _stateful() -> Any:
    lstm = layers.LSTM(5, stateful=True, dropout=0.1)
    return layers.Sequential([layers.Input(batch_shape=(8, 8, 3)), lstm, layers.Dense(1)])


def _kinds() -> list[dict[str, Any]]:
    return [
        # Long enough that most of its attempts end in the middle.
        {
            "model": _model(layers.LSTM(8, dropout=0.2, recurrent_dropout=0.2)),
            "callbacks": [{"ReduceLROnPlateau": {"patience": 2}}],
            "epochs": 60,
        },
        {
            "model": _model(
                layers.Flatten(),
                layers.Dense(16, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.3),
            ),
            "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.01, "momentum": 0.9}},
            "callbacks": [{"EarlyStopping": _STOPPING}],
            "epochs": 40,
        },
        {"model": _stateful(), "shuffle": False, "reset_states": "never", "epochs": 30},
        # By Keras's own fit, not by the loop.
        {
            "model": _model(layers.GRU(6), layers.GaussianNoise(0.1)),
            "steps_per_execution": 5,
            "epochs": 20,
            "checkpoint_epochs": 3,
        },
        {
            "model": _model(layers.Flatten(), layers.Dense(12, activation="tanh")),
            "optimizer": {"class_name": "Adam", "config": {"use_ema": True}},
            "metrics": ["mae"],
            "epochs": 50,
            "checkpoint_s": 0.5,
        },
        {
            "model": _model(layers.Bidirectional(layers.LSTM(4)), layers.Dropout(0.2)),
            "optimizer": {"class_name": "Adam", "config": {"learning_rate": _SCHEDULE}},
            "epochs": 30,
        },
    ]


def document(series: Path, experiment: str, number: int) -> dict[str, Any]:
    """The keywords of a job: one kind after the other, each time with another seed."""
    kinds = _kinds()
    return {
        "dataset": str(series),
        "optimizer": "adam",
        "loss": "mse",
        "batch_size": 8,
        "seed": 1000 + number,
        "experiment": experiment,
        "fuse": False,  # only ways that are equal to running alone, to the bit
        **kinds[number % len(kinds)],
    }
