"""Knowledge distillation: a small network learns from the labels and from what a large one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers
from runner import main, write_arrays
from sklearn.datasets import load_digits

TEMPERATURE = 3.0


def student() -> keras.Model:
    """Outputs `hard`, the classes, and `soft`, the same at a temperature; both (batch, 10)."""
    inputs = layers.Input((64,))
    logits = layers.Dense(10)(layers.Dense(8, activation="relu")(inputs))
    return keras.Model(
        inputs,
        {
            "hard": layers.Softmax(name="hard")(logits),
            "soft": layers.Softmax(name="soft")(logits / TEMPERATURE),
        },
    )


def jobs(folder: Path) -> list[dict[str, Any]]:
    """A student by itself and one with a teacher; the script has trained the teacher."""
    digits = load_digits()
    x = (digits.data[:400] / 16.0).astype("float32")
    labels = digits.target[:400].astype("int32")
    keras.utils.set_random_seed(0)
    teacher = keras.Sequential(
        [layers.Input((64,)), layers.Dense(64, activation="relu"), layers.Dense(10)]
    )
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile("adam", sparse)
    teacher.fit(x, labels, epochs=5, verbose=0)
    says = keras.ops.softmax(teacher.predict(x, verbose=0) / TEMPERATURE)
    dataset = write_arrays(folder / "teacher.h5", x=x, labels=labels, says=says.numpy())
    return [
        {
            "model": student(),
            "dataset": {"path": dataset, "x": "x", "y": {"hard": "labels", "soft": "says"}},
            "loss": {"hard": "sparse_categorical_crossentropy", "soft": "kl_divergence"},
            "loss_weights": {"hard": 1.0, "soft": weight},
            "metrics": {"hard": ["accuracy"]},
            "optimizer": "adam",
            "validation_split": 0.25,
            "epochs": 3,
            "experiment": "distillation",
            "params": {"teacher": weight},
        }
        for weight in (0.0, 5.0)
    ]


if __name__ == "__main__":
    main(jobs)
