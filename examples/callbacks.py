"""Callbacks at the end of an epoch: stop early, lower the learning rate, follow a schedule.

They are given as data (the short form `{"EarlyStopping": {"patience": 1}}`, Keras's config, or a
Keras object) and run in the worker as Keras's own; their state is in the checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """Three fits with three sets of callbacks, on noise that cannot be learnt."""
    random = np.random.default_rng(0)
    dataset = write_arrays(
        folder / "noise.h5",
        x_train=random.random((96, 6)).astype("float32"),
        y_train=random.random((96, 1)).astype("float32"),
    )
    model = ff.Sequential(
        [
            ff.layers.Input((6,)),
            ff.layers.Dense(32, activation="relu"),
            ff.layers.Dense(1),
        ]
    )
    decay = {
        "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": 0.01, "decay_steps": 2, "decay_rate": 0.5},
    }
    sets: dict[str, list[Any]] = {
        "stop": [
            {
                "EarlyStopping": {
                    "monitor": "val_loss",
                    "patience": 1,
                    "min_delta": 0.05,
                    "restore_best_weights": True,
                }
            },
            {"TerminateOnNaN": {}},
        ],
        "plateau": [
            {"ReduceLROnPlateau": {"monitor": "val_loss", "patience": 1, "min_delta": 0.05}}
        ],
        "schedule": [{"LearningRateScheduler": {"schedule": decay}}],
    }
    return [
        {
            "model": model,
            "dataset": dataset,
            "loss": "mse",
            "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.01}},
            "validation_split": 0.25,
            "epochs": 8,
            "callbacks": callbacks,
            "experiment": "callbacks",
            "params": {"callbacks": name},
        }
        for name, callbacks in sets.items()
    ]


if __name__ == "__main__":
    main(jobs)
