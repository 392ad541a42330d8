"""One embedded fleet with real worker processes, shared by the tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_digits

import fitfleet as ff


def write_digits(path: Path) -> Path:
    """Handwritten digits as 8 steps of 8 features: 600 train, 200 val, 200 test."""
    digits = load_digits()
    rows = np.random.default_rng(0).permutation(len(digits.target))[:1000]
    images = (digits.images[rows] / 16).astype("float32")
    labels = np.eye(10, dtype="float32")[digits.target[rows]]
    with h5py.File(path, "w") as file:
        for name, part in (
            ("train", slice(600)),
            ("val", slice(600, 800)),
            ("test", slice(800, None)),
        ):
            file[f"x_{name}"] = images[part]
            file[f"y_{name}"] = labels[part]
    return path


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset's file."""
    return write_digits(tmp_path_factory.mktemp("data") / "digits.h5")


def stacked_lstm(units: int = 8) -> ff.Sequential:
    """The model of the notes."""
    return ff.Sequential(
        [
            ff.layers.Input((8, 8)),
            ff.layers.LSTM(units, return_sequences=True),
            ff.layers.LSTM(units),
            ff.layers.Dense(10, activation="softmax"),
        ]
    )


@pytest.fixture
def job(digits: Path) -> dict[str, Any]:
    """The arguments of a small job; tests change some."""
    return {
        "model": stacked_lstm(),
        "dataset": str(digits),
        "optimizer": "rmsprop",
        "loss": "categorical_crossentropy",
        "metrics": ["accuracy"],
        "batch_size": 64,
        "epochs": 2,
        "seed": 0,
        "experiment": "digits",
    }


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ff.Fleet]:
    """Two workers in a directory whose path is too long for a socket."""
    folder = tmp_path_factory.mktemp("fleet") / ("long" * 30) / ("path" * 20)
    here = str(Path(__file__).parent)
    with ff.local(2, folder, trusted_modules=["sample_evaluators"], module_path=[here]) as fleet:
        yield fleet
