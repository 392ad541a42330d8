"""A table with categories and missing values, from its CSV file to an embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import layers, ops
from runner import main

import fitfleet as ff

PORTS = ["Cherbourg", "Queenstown", "Southampton"]


def passengers(count: int) -> pd.DataFrame:
    """Made-up passengers: `age` is missing for some, `port` is a word or missing."""
    random = np.random.default_rng(0)
    age, fare = random.uniform(1, 80, count).round(1), random.gamma(2.0, 15.0, count).round(2)
    port = random.choice([*PORTS, None], count, p=[0.2, 0.1, 0.6, 0.1])
    survived = (fare + 20.0 * (port == "Cherbourg") + random.normal(0, 10, count) > 35).astype(int)
    age[random.random(count) < 0.2] = np.nan
    return pd.DataFrame({"age": age, "fare": fare, "port": port, "survived": survived})


def network() -> keras.Model:
    """Inputs `numbers` (age, fare), shape (batch, 2), and `port`, shape (batch,)."""
    numbers = layers.Input((2,), name="numbers")
    port = layers.Input((), dtype="int64", name="port")
    is_missing = ops.isnan(numbers)
    known = layers.Normalization(mean=[40.0, 30.0], variance=[500.0, 450.0])(
        ops.where(is_missing, 40.0, numbers)
    )
    embedded = layers.Embedding(len(PORTS) + 1, 2)(port)
    parts = layers.Concatenate()([known, ops.cast(is_missing, "float32"), embedded])
    hidden = layers.Dense(8, activation="relu")(parts)
    return keras.Model([numbers, port], layers.Dense(1, activation="sigmoid")(hidden))


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit; the words of `port` are kept with the job, a missing one is the last code."""
    path = folder / "passengers.csv"
    passengers(200).to_csv(path, index=False)
    return [
        {
            "model": network(),
            "dataset": ff.Dataset(
                str(path),
                x={"numbers": ["age", "fare"], "port": "port"},
                y="survived",
                categories={"port": [*PORTS, ""]},
                nan="allow",  # the model reads them
            ),
            "loss": "binary_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": "adam",
            "validation_split": 0.25,
            "epochs": 3,
            "experiment": "tabular",
        }
    ]


if __name__ == "__main__":
    main(jobs)
