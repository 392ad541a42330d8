"""The guide's stateful stacked LSTM: the states after one batch begin the next.

So the batch size is part of the model, the rows keep their order (`shuffle=False`), their number
is a multiple of the batch size, and the states are reset at the start of each epoch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays
from stacked_lstm import DATA_DIM, NUM_CLASSES, TIMESTEPS, dummy

import fitfleet as ff

BATCH_SIZE = 32


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit of 3 epochs; 5 batches of training rows, 2 of validation rows."""
    random = np.random.default_rng(0)
    x_train, y_train = dummy(5 * BATCH_SIZE, random)
    x_val, y_val = dummy(2 * BATCH_SIZE, random)
    dataset = write_arrays(
        folder / "stateful.h5", x_train=x_train, y_train=y_train, x_val=x_val, y_val=y_val
    )
    model = ff.Sequential(
        [
            ff.layers.Input((TIMESTEPS, DATA_DIM), batch_size=BATCH_SIZE),
            ff.layers.LSTM(32, return_sequences=True, stateful=True),
            ff.layers.LSTM(32, return_sequences=True, stateful=True),
            ff.layers.LSTM(32, stateful=True),
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
            "batch_size": BATCH_SIZE,
            "epochs": 3,
            "shuffle": False,
            "experiment": "stateful-lstm",
        }
    ]


if __name__ == "__main__":
    main(jobs)
