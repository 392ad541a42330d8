"""Transfer learning on pictures: a base that has learned some digits, frozen, learns the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers
from runner import main, write_arrays
from sklearn.datasets import load_digits


def base() -> keras.Model:
    """A small convolutional network, (batch, 8, 8, 1) to (batch, 16)."""
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
        ],
        name="base",
    )


def jobs(folder: Path) -> list[dict[str, Any]]:
    """Two fits on the digits 5 to 9: with the base frozen, and fine-tuning it slowly.

    The script has trained the base on 0 to 4; its weights go with the jobs.
    """
    digits = load_digits()
    pictures = (digits.images[..., None] / 16.0).astype("float32")
    is_known = digits.target < 5
    keras.utils.set_random_seed(0)
    trained = base()
    first = keras.Sequential([trained, layers.Dense(5, activation="softmax")])
    first.compile("adam", "sparse_categorical_crossentropy")
    first.fit(pictures[is_known][:300], digits.target[is_known][:300], epochs=5, verbose=0)
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.RandomTranslation(0.1, 0.1),  # other pictures in each epoch
            trained,
            layers.Dense(5, activation="softmax"),
        ]
    )
    dataset = write_arrays(
        folder / "others.h5",
        x=pictures[~is_known][:200],
        y=(digits.target[~is_known][:200] - 5).astype("int32"),
    )
    return [
        {
            "model": model,
            "dataset": dataset,
            "freeze": freeze,
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": keras.optimizers.Adam(rate),
            "validation_split": 0.25,
            "epochs": 3,
            "experiment": "transfer-learning",
            "params": {"freeze": ", ".join(freeze)},
        }
        for freeze, rate in ((["base"], 0.01), ([], 0.0001))
    ]


if __name__ == "__main__":
    main(jobs)
