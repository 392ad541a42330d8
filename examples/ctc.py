"""CTC: which digits stand in a row of pixels, without saying where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays
from sklearn.datasets import load_digits

import fitfleet as ff

LENGTH = 3


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit that reads three digits side by side; class 0 is CTC's blank, digit d is d + 1."""
    digits = load_digits()
    chosen = np.random.default_rng(0).integers(0, 1000, (96, LENGTH))
    lines = (digits.images[chosen] / 16.0).astype("float32")  # (lines, 3, 8, 8)
    columns = lines.transpose(0, 1, 3, 2).reshape(96, LENGTH * 8, 8)  # a step a column of pixels
    dataset = write_arrays(
        folder / "lines.h5", x=columns, y=(digits.target[chosen] + 1).astype("int32")
    )
    model = ff.Sequential(
        [
            ff.layers.Input((LENGTH * 8, 8)),
            ff.layers.Bidirectional(ff.layers.LSTM(16, return_sequences=True)),
            ff.layers.Dense(11),  # logits
        ]
    )
    return [
        {
            "model": model,
            "dataset": dataset,
            "loss": "ctc",
            "optimizer": "adam",
            "validation_split": 0.25,
            "epochs": 3,
            "experiment": "ctc",
        }
    ]


if __name__ == "__main__":
    main(jobs)
