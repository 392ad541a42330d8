"""The regression metrics of the notes: MSE, MAE, MAPE and cosine similarity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit; each metric is in the history for training and validation rows."""
    random = np.random.default_rng(0)
    x = random.random((160, 4)).astype("float32")
    y = np.stack([x.sum(axis=1), x.max(axis=1)], axis=1)
    dataset = write_arrays(
        folder / "regression.h5", x_train=x[:128], y_train=y[:128], x_val=x[128:], y_val=y[128:]
    )
    model = ff.Sequential(
        [
            ff.layers.Input((4,)),
            ff.layers.Dense(8, activation="relu"),
            ff.layers.Dense(2),
        ]
    )
    return [
        {
            "model": model,
            "dataset": ff.Dataset(dataset, x="x_train", y="y_train", x_val="x_val", y_val="y_val"),
            "loss": "mse",
            "optimizer": "adam",
            "metrics": ["mse", "mae", "mape", "cosine_similarity"],
            "epochs": 3,
            "experiment": "regression-metrics",
        }
    ]


if __name__ == "__main__":
    main(jobs)
