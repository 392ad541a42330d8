"""Texts as they are: TextVectorization in the model, its vocabulary found by the script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from runner import main, write_arrays

GOOD, BAD = ["great", "lovely", "moving", "brilliant"], ["dull", "awful", "boring", "noisy"]
OTHER = [
    "the",
    "a",
    "film",
    "plot",
    "actor",
    "scene",
    "was",
    "and",
    "with",
    "very",
    "ending",
    "music",
]


def reviews(count: int) -> tuple[list[str], np.ndarray]:
    """Made-up reviews, and whether they are good."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, count)
    texts = [
        " ".join(random.permutation([*random.choice(OTHER, 6), *random.choice(words, 2)]))
        for words in (GOOD if label else BAD for label in labels)
    ]
    return [f"{text.capitalize()}!" for text in texts], labels


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit on texts; the words of the training rows are part of the job."""
    texts, labels = reviews(160)
    words = layers.TextVectorization(max_tokens=30, output_sequence_length=10)
    words.adapt(texts[:120])
    model = keras.Sequential(
        [
            layers.Input((), dtype="string"),
            words,
            layers.Embedding(30, 8),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    dataset = write_arrays(
        folder / "reviews.h5",
        x=np.array([text.encode() for text in texts]),
        y=labels.astype("float32")[:, None],
    )
    return [
        {
            "model": model,
            "dataset": dataset,
            "loss": "binary_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": keras.optimizers.Adam(0.02),
            "validation_split": 0.25,
            "epochs": 4,
            "experiment": "text-classification",
        }
    ]


if __name__ == "__main__":
    main(jobs)
