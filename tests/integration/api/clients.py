"""What fixtures make here, and a dataset of 64 rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import fitfleet as ff

MakeToken = Callable[..., str]
MakeClient = Callable[..., ff.Fleet]


def write_line(path: Path, scale: float = 1.0) -> Path:
    """A dataset of 64 rows."""
    rng = np.random.default_rng(0)
    x = (scale * rng.normal(size=(64, 4))).astype("float32")
    np.savez(path, x_train=x, y_train=rng.normal(size=(64, 1)).astype("float32"))
    return path
