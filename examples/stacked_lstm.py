"""The guide's stacked LSTM with validation data; lower layers return whole sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff

DATA_DIM, TIMESTEPS, NUM_CLASSES = 16, 8, 10


def dummy(rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The guide's dummy data: uniform x, shape (rows, 8, 16), and y, shape (rows, 10)."""
    x = random.random((rows, TIMESTEPS, DATA_DIM)).astype("float32")
    return x, random.random((rows, NUM_CLASSES)).astype("float32")


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit of 5 epochs, validated after each."""
    random = np.random.default_rng(0)
    x_train, y_train = dummy(200, random)
    x_val, y_val = dummy(50, random)
    dataset = write_arrays(
        folder / "stacked.h5", x_train=x_train, y_train=y_train, x_val=x_val, y_val=y_val
    )
    model = ff.Sequential(
        [
            ff.layers.Input((TIMESTEPS, DATA_DIM)),
            ff.layers.LSTM(32, return_sequences=True),
            ff.layers.LSTM(32, return_sequences=True),
            ff.layers.LSTM(32),
            ff.layers.Dense(NUM_CLASSES, activation="softmax"),
        ]
    )
    return [
        {
            "model": model,
            "dataset": ff.Dataset(dataset, x="x_train", y="y_train", x_val="x_val", y_val="y_val"),
            "loss": "categorical_crossentropy",
            "optimizer": "rmsprop",
            "metrics": ["accuracy"],
            "batch_size": 64,
            "epochs": 5,
            "experiment": "stacked-lstm",
        }
    ]


if __name__ == "__main__":
    main(jobs)
