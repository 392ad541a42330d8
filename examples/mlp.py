"""The MLP of Keras's Sequential guide: 784 inputs, 32 hidden units, 10 classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, one_hot, write_arrays

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit on random rows, as in the guide."""
    random = np.random.default_rng(0)
    dataset = write_arrays(
        folder / "mlp.h5",
        x_train=random.random((200, 784), dtype="float32"),
        y_train=one_hot(random.integers(0, 10, 200), 10),
    )
    model = ff.Sequential(
        [
            ff.layers.Input((784,)),
            ff.layers.Dense(32),
            ff.layers.Activation("relu"),
            ff.layers.Dense(10),
            ff.layers.Activation("softmax"),
        ]
    )
    return [
        {
            "model": model,
            "dataset": dataset,
            "optimizer": "rmsprop",
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
            "batch_size": 32,
            "epochs": 3,
            "experiment": "mlp",
        }
    ]


if __name__ == "__main__":
    main(jobs)
