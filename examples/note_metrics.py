"""A metric of one's own in Keras: it may look at the rows only through Keras's operations."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="note_metrics")
class Within(keras.metrics.Mean):
    """Share of predictions that lie within `tolerance` of the truth."""

    def __init__(self, tolerance: float = 0.1, name: str = "within", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.tolerance = tolerance

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        hits = ops.cast(ops.abs(y_true - y_pred) <= self.tolerance, self.dtype)
        super().update_state(hits, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "tolerance": self.tolerance}
