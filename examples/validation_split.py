"""validation_split, with Keras's meaning: the last part of the rows, taken before any shuffling.

The last quarter here has other labels than the rest, so a split that shuffled first would show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit that learns to answer 0 and is validated on rows that ask for 1."""
    random = np.random.default_rng(0)
    y = np.zeros((80, 1), "float32")
    y[60:] = 1.0
    dataset = write_arrays(
        folder / "split.h5", x_train=random.random((80, 3)).astype("float32"), y_train=y
    )
    model = ff.Sequential([ff.layers.Input((3,)), ff.layers.Dense(1, activation="sigmoid")])
    return [
        {
            "model": model,
            "dataset": dataset,
            "loss": "binary_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": {"class_name": "SGD", "config": {"learning_rate": 1.0}},
            "validation_split": 0.25,
            "epochs": 4,
            "batch_size": 16,
            "experiment": "validation-split",
        }
    ]


if __name__ == "__main__":
    main(jobs)
