"""Siamese: one encoder reads two pictures, and a loss of one's own compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from own_networks import contrastive
from runner import main, write_arrays
from sklearn.datasets import load_digits


def siamese() -> keras.Model:
    """Inputs `left` and `right`, shape (batch, 8, 8, 1); output their distance, (batch, 1)."""
    encoder = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(8),
        ],
        name="encoder",
    )
    left, right = layers.Input((8, 8, 1), name="left"), layers.Input((8, 8, 1), name="right")
    square = ops.sum(ops.square(encoder(left) - encoder(right)), axis=1, keepdims=True)
    return keras.Model([left, right], ops.sqrt(square + 1e-7))


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit on pairs of digits: are they the same?"""
    digits = load_digits()
    pictures = (digits.images[:200, :, :, None] / 16.0).astype("float32")
    other = np.random.default_rng(0).permutation(200)
    is_same = (digits.target[:200] == digits.target[other]).astype("float32")
    dataset = write_arrays(
        folder / "pairs.h5", left=pictures, right=pictures[other], y=is_same[:, None]
    )
    return [
        {
            "model": siamese(),
            "dataset": {"path": dataset, "x": {"left": "left", "right": "right"}, "y": "y"},
            "loss": contrastive,
            "optimizer": "adam",
            "validation_split": 0.25,
            "epochs": 3,
            "experiment": "siamese",
        }
    ]


if __name__ == "__main__":
    main(jobs)
