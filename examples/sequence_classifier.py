"""The guide's sequence classifier: Embedding, LSTM, Dropout; then evaluate on test rows.

The test arrays of the dataset are evaluated after the fit: `job.scores["test_accuracy"]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff

MAX_FEATURES = 1024


def sequences(rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Word numbers, shape (rows, 12), and whether their mean lies above the middle, (rows, 1)."""
    x = random.integers(0, MAX_FEATURES, (rows, 12)).astype("int32")
    return x, (x.mean(axis=1, keepdims=True) > MAX_FEATURES / 2).astype("float32")


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit, evaluated on 32 rows that it has not seen."""
    random = np.random.default_rng(0)
    x_train, y_train = sequences(96, random)
    x_test, y_test = sequences(32, random)
    dataset = write_arrays(
        folder / "sequences.h5", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test
    )
    model = ff.Sequential(
        [
            ff.layers.Input((12,), dtype="int32"),
            ff.layers.Embedding(MAX_FEATURES, output_dim=16),
            ff.layers.LSTM(16),
            ff.layers.Dropout(0.5),
            ff.layers.Dense(1, activation="sigmoid"),
        ]
    )
    return [
        {
            "model": model,
            "dataset": ff.Dataset(
                dataset, x="x_train", y="y_train", x_test="x_test", y_test="y_test"
            ),
            "loss": "binary_crossentropy",
            "optimizer": "rmsprop",
            "metrics": ["accuracy"],
            "batch_size": 16,
            "epochs": 3,
            "experiment": "sequence-classifier",
        }
    ]


if __name__ == "__main__":
    main(jobs)
