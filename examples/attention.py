"""Sequence to sequence with attention: the decoder looks at every step of the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff

SYMBOLS, STEPS = 6, 5


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit that learns to write a sequence of symbols backwards."""
    source = np.random.default_rng(0).integers(1, SYMBOLS, (128, STEPS))
    target = source[:, ::-1]
    before = np.concatenate([np.zeros((128, 1), int), target[:, :-1]], axis=1)  # 0 starts
    dataset = write_arrays(
        folder / "attention.h5", source=source, target_before=before, target=target
    )
    return [
        {
            "model": ff.builder("models:attentive", units=16, symbols=SYMBOLS),
            "dataset": ff.Dataset(
                dataset,
                x={"source": "source", "target_before": "target_before"},
                y="target",
            ),
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": "adam",
            "validation_split": 0.25,
            "epochs": 3,
            "experiment": "attention",
        }
    ]


if __name__ == "__main__":
    main(jobs)
