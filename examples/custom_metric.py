"""A Keras metric of one's own. Its module must be one that the workers trust.

`ff.local(trusted_modules=["note_metrics"], module_path=["examples"])`, or the settings of the
same names for a worker that runs elsewhere. The submitting side imports nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit whose history has `within` and `val_within`."""
    random = np.random.default_rng(0)
    x = random.random((128, 4)).astype("float32")
    dataset = write_arrays(folder / "within.h5", x_train=x, y_train=x.sum(axis=1, keepdims=True))
    within = {
        "module": "note_metrics",
        "class_name": "Within",
        "registered_name": "note_metrics>Within",
        "config": {"tolerance": 0.2},
    }
    model = ff.Sequential(
        [
            ff.layers.Input((4,)),
            ff.layers.Dense(8, activation="relu"),
            ff.layers.Dense(1),
        ]
    )
    return [
        {
            "model": model,
            "dataset": dataset,
            "loss": "mae",
            "metrics": [within],
            "optimizer": "adam",
            "validation_split": 0.25,
            "epochs": 3,
            "experiment": "custom-metric",
        }
    ]


if __name__ == "__main__":
    main(jobs)
