"""return_sequences and return_state: all hidden states of an LSTM, and its last two states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit with two named outputs: the running sum at each step, and the last one."""
    random = np.random.default_rng(0)
    series = random.random((96, 6, 2)).astype("float32")
    sums = series.sum(axis=2, keepdims=True).cumsum(axis=1)
    dataset = write_arrays(folder / "sums.h5", series=series, steps=sums, last=sums[:, -1])
    return [
        {
            "model": ff.builder("models:steps_and_states", units=8, timesteps=6, features=2),
            "dataset": ff.Dataset(dataset, x="series", y={"steps": "steps", "last": "last"}),
            "loss": {"steps": "mse", "last": "mse"},
            "loss_weights": {"steps": 1.0, "last": 0.5},
            "optimizer": "adam",
            "epochs": 3,
            "experiment": "return-state",
        }
    ]


if __name__ == "__main__":
    main(jobs)
