"""Scale theory: an evaluator in NumPy for what Keras's metrics cannot say.

A model reads 16 soprano notes of a Bach chorale (music21's corpus) and writes the next 8. The
evaluator asks of the notes it wrote how many lie in the scale, and how large the leaps are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones above the tonic
LOWEST, NOTES = 48, 48  # MIDI numbers 48..95 become 0..47
READ, WRITE = 16, 8


def in_scale(y_true: np.ndarray, y_pred: np.ndarray, context: dict[str, Any]) -> dict[str, float]:
    """Share of written notes in the scale (the tonic is C), next to that of Bach's own.

    `y_true` holds notes, shape (rows, WRITE); `y_pred` their probabilities, shape
    (rows, WRITE, NOTES). The job may give another scale:
    `evaluators=[{"path": "chorales:in_scale", "arguments": {"scale": [0, 3, 5, 7, 10]}}]`.
    """
    scale = context["arguments"].get("scale", MAJOR)
    written = y_pred.argmax(axis=-1)
    return {
        "in_scale": float(np.isin((written + LOWEST) % 12, scale).mean()),
        "in_scale_bach": float(np.isin((y_true + LOWEST) % 12, scale).mean()),
        "mean_leap": float(np.abs(np.diff(written, axis=1)).mean()),
        "mean_leap_bach": float(np.abs(np.diff(y_true.astype(int), axis=1)).mean()),
    }


def soprano_lines(count: int) -> list[np.ndarray]:
    """Notes of the first `count` chorales in a major key, moved to C major."""
    from music21 import corpus, stream

    lines: list[np.ndarray] = []
    for path in corpus.getComposer("bach"):
        if len(lines) == count:
            break
        score = corpus.parse(path)
        if not isinstance(score, stream.Score):
            continue
        key = score.analyze("key")
        notes = [n.pitch.midi for n in score.parts[0].flatten().notes if n.isNote]
        if key.mode == "major" and len(notes) >= READ + WRITE:
            up = (-key.tonic.pitchClass) % 12
            lines.append(np.array(notes) + (up if up <= 6 else up - 12) - LOWEST)
    return lines


def windows(lines: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Notes read, shape (rows, READ), and notes to write, shape (rows, WRITE); none cross lines."""
    cuts = [
        line[start : start + READ + WRITE]
        for line in lines
        for start in range(0, len(line) - READ - WRITE + 1, 2)
    ]
    rows = np.stack(cuts).astype("int32")
    return rows[:, :READ], rows[:, READ:]


def jobs(folder: Path, chorales: int = 8, epochs: int = 3) -> list[dict[str, Any]]:
    """One fit on all but the last two chorales, evaluated on those."""
    from runner import write_arrays

    import fitfleet as ff

    lines = soprano_lines(chorales)
    x_train, y_train = windows(lines[:-2])
    x_test, y_test = windows(lines[-2:])
    dataset = write_arrays(
        folder / "chorales.h5", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test
    )
    model = ff.Sequential(
        [
            ff.layers.Input((READ,), dtype="int32"),
            ff.layers.Embedding(NOTES, 16),
            ff.layers.LSTM(32),
            ff.layers.RepeatVector(WRITE),
            ff.layers.LSTM(32, return_sequences=True),
            ff.layers.TimeDistributed(ff.layers.Dense(NOTES, activation="softmax")),
        ]
    )
    return [
        {
            "model": model,
            "dataset": ff.Dataset(
                dataset, x="x_train", y="y_train", x_test="x_test", y_test="y_test"
            ),
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.01}},
            "epochs": epochs,
            "evaluators": ["chorales:in_scale"],
            "experiment": "chorales",
        }
    ]


if __name__ == "__main__":
    from runner import main

    main(lambda folder: jobs(folder, chorales=30, epochs=30))
