"""A fitted model at work, in the process that asks."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitfleet.data.arrays import load
from fitfleet.data.formats.text import text_array
from fitfleet.data.info import flatten
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.dataset import dataset_spec
from fitfleet.spec.job import JobSpec
from fitfleet.worker import data
from fitfleet.worker.build import precision
from fitfleet.worker.recording.explanation import explanation


def predict(model: Any, x: Any, spec: JobSpec, batch_size: int) -> Any:
    """Keras's `predict` in the job's dtype policy. DatasetError for arrays that do not fit."""
    with precision(spec.dtype_policy):
        try:
            x = _texts(x)
            if any(isinstance(leaf, np.ndarray) and leaf.dtype.kind == "S" for leaf in flatten(x)):
                return model.predict(data.evaluation(x, None, None, batch_size), verbose=0)
            return model.predict(x, batch_size=batch_size, verbose=0)
        except (ValueError, TypeError) as error:
            raise DatasetError(f"x: does not fit the model: {explanation(error)}") from error


def _texts(part: Any) -> Any:
    """Arrays and lists of texts as arrays of UTF-8; all else as it is."""
    if isinstance(part, dict):
        return {name: _texts(value) for name, value in part.items()}
    if hasattr(part, "to_numpy"):
        part = part.to_numpy()
    if isinstance(part, list | tuple) and part and all(isinstance(text, str) for text in part):
        part = np.array(part, dtype=object)
    elif isinstance(part, list | tuple):
        return [_texts(value) for value in part]
    if isinstance(part, np.ndarray) and part.dtype.kind in "OU":
        return text_array("x", part.ravel()).reshape(part.shape)
    return part


def evaluate(
    model: Any, dataset: Any, spec: JobSpec, settings: Settings, batch_size: int
) -> dict[str, float]:
    """Loss and metrics on `(x, y)`, or on x and y of a dataset as submit takes it by its path."""
    if isinstance(dataset, tuple):
        x, y, weight = (*dataset, None)[:3]
        x = _texts(x)
    else:
        arrays = load(dataset_spec(dataset), settings)
        x, y, weight = arrays.x, arrays.y, arrays.sample_weight
    fed = data.evaluation(x, y, weight, batch_size, whole_bytes=settings.memory_bytes)
    how: dict[str, Any] = {"return_dict": True, "verbose": 0}
    with precision(spec.dtype_policy):
        try:
            results = (
                model.evaluate(*fed, batch_size=batch_size, **how)
                if isinstance(fed, tuple)
                else model.evaluate(fed, **how)
            )
        except (ValueError, TypeError) as error:
            raise DatasetError(f"dataset: does not fit the model: {explanation(error)}") from error
    return {name: float(value) for name, value in results.items()}
