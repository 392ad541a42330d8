"""The classification metrics of the notes.

Binary accuracy for yes or no, categorical and top-k accuracy for one-hot labels, and their sparse
forms for labels that are class numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, one_hot, write_arrays

import fitfleet as ff

CLASSES = 5


def classifier(units: int, activation: str) -> ff.Sequential:
    """A small MLP that ends in `units` outputs."""
    return ff.Sequential(
        [
            ff.layers.Input((6,)),
            ff.layers.Dense(16, activation="relu"),
            ff.layers.Dense(units, activation=activation),
        ]
    )


def jobs(folder: Path) -> list[dict[str, Any]]:
    """Three fits on the same rows with the three kinds of labels."""
    random = np.random.default_rng(0)
    x = random.random((128, 6)).astype("float32")
    labels = x[:, :CLASSES].argmax(axis=1).astype("int32")
    dataset = write_arrays(
        folder / "classes.h5",
        x=x,
        is_first=(labels == 0).astype("float32")[:, None],
        one_hot=one_hot(labels, CLASSES),
        labels=labels,
    )
    kinds = [
        (
            "binary",
            "is_first",
            classifier(1, "sigmoid"),
            "binary_crossentropy",
            ["binary_accuracy"],
        ),
        (
            "categorical",
            "one_hot",
            classifier(CLASSES, "softmax"),
            "categorical_crossentropy",
            [
                "categorical_accuracy",
                {"class_name": "TopKCategoricalAccuracy", "config": {"k": 2}},
            ],
        ),
        (
            "sparse",
            "labels",
            classifier(CLASSES, "softmax"),
            "sparse_categorical_crossentropy",
            [
                "sparse_categorical_accuracy",
                {"class_name": "SparseTopKCategoricalAccuracy", "config": {"k": 2}},
            ],
        ),
    ]
    return [
        {
            "model": model,
            "dataset": ff.Dataset(dataset, x="x", y=labels_name),
            "loss": loss,
            "metrics": metrics,
            "optimizer": "adam",
            "epochs": 3,
            "validation_split": 0.25,
            "experiment": "classification-metrics",
            "params": {"labels": kind},
        }
        for kind, labels_name, model, loss, metrics in kinds
    ]


if __name__ == "__main__":
    main(jobs)
