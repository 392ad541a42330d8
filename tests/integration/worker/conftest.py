"""A child without Celery around it, and the data its jobs are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fleets import Fleet

BATCH = 8
ROWS = 40


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Series, tokens and classes: 40 rows to train, 16 to validate, 16 to test."""
    path = tmp_path_factory.mktemp("data") / "data.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for part, rows in (("train", ROWS), ("val", 16), ("test", 16)):
            x = rng.normal(size=(rows, 5, 3)).astype("float32")
            file[f"x_{part}"] = x
            file[f"y_{part}"] = x.mean(axis=(1, 2))[:, None]
            file[f"first_{part}"] = x[:, 0]
            file[f"second_{part}"] = x[:, 1, :2]
            file[f"mean_{part}"] = x.mean(axis=(1, 2))[:, None]
            file[f"class_{part}"] = (x[:, 0, 0] > 0).astype("int64")
            file[f"token_{part}"] = rng.integers(1, 9, (rows, 4))
            file[f"next_{part}"] = rng.integers(1, 9, (rows, 4))
            file[f"weight_{part}"] = rng.random(rows).astype("float32")
    return path


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """A child of a worker with a database of its own."""
    with Fleet(sqlite_url, tmp_path) as fleet:
        yield fleet


@pytest.fixture
def job(data: Path) -> dict[str, Any]:
    """A job that any engine can train; tests change some of it."""
    import fitfleet as ff

    return {
        "model": ff.Sequential(
            [ff.layers.Input((5, 3)), ff.layers.Flatten(), ff.layers.Dense(4), ff.layers.Dense(1)]
        ),
        "dataset": str(data),
        "optimizer": "adam",
        "loss": "mse",
        "batch_size": BATCH,
        "epochs": 3,
        "seed": 5,
    }
