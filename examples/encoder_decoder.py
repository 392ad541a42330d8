"""An encoder-decoder: the decoder's LSTM begins in the states in which the encoder's ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff

SYMBOLS, STEPS = 6, 5


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit that learns to write a sequence of symbols backwards, with named inputs."""
    random = np.random.default_rng(0)
    source = random.integers(1, SYMBOLS, (128, STEPS))
    target = source[:, ::-1]
    before = np.concatenate([np.zeros((128, 1), int), target[:, :-1]], axis=1)  # 0 starts
    eye = np.eye(SYMBOLS, dtype="float32")
    dataset = write_arrays(
        folder / "reverse.h5",
        source=eye[source],
        target_before=eye[before],
        target=target.astype("int32"),
    )
    return [
        {
            "model": ff.builder("models:encoder_decoder", units=16, symbols=SYMBOLS),
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
            "experiment": "encoder-decoder",
        }
    ]


if __name__ == "__main__":
    main(jobs)
