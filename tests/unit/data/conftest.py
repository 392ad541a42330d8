from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fitfleet.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Datasets under `data`, the machine's cache beside it."""
    (tmp_path / "data").mkdir()
    return Settings(data_root=str(tmp_path / "data"), cache=str(tmp_path / "cache"))


@pytest.fixture
def folder(settings: Settings) -> Path:
    return Path(settings.data_root)


@pytest.fixture
def digits() -> dict[str, np.ndarray]:
    """Arrays under the default names, of different kinds."""
    random = np.random.default_rng(0)
    return {
        "x_train": random.normal(size=(20, 4, 3)),
        "y_train": random.integers(0, 5, 20),
        "x_val": random.normal(size=(8, 4, 3)).astype("float32"),
        "y_val": random.integers(0, 5, 8),
        "x_test": random.normal(size=(6, 4, 3)),
        "y_test": random.integers(0, 5, 6),
    }
