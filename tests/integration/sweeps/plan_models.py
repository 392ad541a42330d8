"""Builders for the tests of planning."""

from __future__ import annotations

from typing import Any


def dense(units: int, dropout: float = 0.0) -> Any:
    """A model that cannot be built with 13 units."""
    import keras

    if units == 13:
        raise ValueError("thirteen is unlucky")
    return keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(units),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(1),
        ]
    )
