"""Text generation: an LSTM reads 20 characters and guesses the next; windows feed it.

The file holds the text once, as numbers; fitfleet cuts the overlapping windows in the worker.
"""

from __future__ import annotations

import codecs
import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff

LENGTH = 20


def zen() -> str:
    """The Zen of Python, which every Python ships."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return codecs.decode(this.s, "rot13").lower()


def encode(text: str) -> tuple[np.ndarray, str]:
    """The text as positions in its own sorted alphabet, and that alphabet."""
    alphabet = "".join(sorted(set(text)))
    return np.array([alphabet.index(c) for c in text], "int32"), alphabet


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit on the windows of the text; y of a window is the character after it."""
    text, alphabet = encode(zen())
    dataset = write_arrays(folder / "zen.h5", text=text)
    model = ff.Sequential(
        [
            ff.layers.Input((LENGTH,), dtype="int32"),
            ff.layers.Embedding(len(alphabet), 16),
            ff.layers.LSTM(32),
            ff.layers.Dense(len(alphabet), activation="softmax"),
        ]
    )
    return [
        {
            "model": model,
            "dataset": ff.Dataset(
                dataset, x="text", y="text", windows={"length": LENGTH, "horizon": 1}
            ),
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            "optimizer": {"class_name": "RMSprop", "config": {"learning_rate": 0.01}},
            "batch_size": 64,
            "epochs": 2,
            "experiment": "text-generation",
        }
    ]


def generate(model: Any, start: str, characters: int) -> str:
    """Continues from `start` (at least LENGTH characters of the text), most likely next."""
    _, alphabet = encode(zen())
    text = start
    for _ in range(characters):
        window = np.array([[alphabet.index(c) for c in text[-LENGTH:]]], "int32")
        text += alphabet[int(np.argmax(model.predict(window, verbose=0)[0]))]
    return text


if __name__ == "__main__":
    handles = main(jobs)
    print(generate(handles[0].load_model(), zen()[:LENGTH], 60))
