"""A fleet without workers: what can be shown before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitfleet as ff
from fitfleet.db.session import Database
from fitfleet.settings import Settings, directory_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "data.npz",
        x_train=rng.normal(size=(64, 4)).astype("float32"),
        y_train=rng.normal(size=(64, 1)).astype("float32"),
    )
    away = {"broker_url": "redis://127.0.0.1:1/0", "data_root": str(tmp_path)}
    return Settings(**directory_settings(tmp_path / "fleet"), **away)


@pytest.fixture
def fleet(settings: Settings) -> Iterator[ff.Fleet]:
    database = Database(settings.database_url)
    database.upgrade()
    with ff.Fleet(settings, database) as fleet:
        yield fleet


@pytest.fixture
def job() -> dict[str, Any]:
    return {
        "model": ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)]),
        "dataset": "data.npz",
        "optimizer": "sgd",
        "loss": "mse",
        "epochs": 3,
        "experiment": "line",
    }
