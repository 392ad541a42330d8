"""A fitted model at work, in the process that asks."""

from __future__ import annotations

from typing import Any

from fitfleet.data.arrays import load
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
            return model.predict(x, batch_size=batch_size, verbose=0)
        except (ValueError, TypeError) as error:
            raise DatasetError(f"x: does not fit the model: {explanation(error)}") from error


def evaluate(
    model: Any, dataset: Any, spec: JobSpec, settings: Settings, batch_size: int
) -> dict[str, float]:
    """Loss and metrics on `(x, y)`, or on x and y of a dataset as submit takes it by its path."""
    if isinstance(dataset, tuple):
        x, y, weight = (*dataset, None)[:3]
    else:
        arrays = load(dataset_spec(dataset), settings)
        x, y, weight = arrays.x, arrays.y, arrays.sample_weight
    fed = data.evaluation(x, y, weight, batch_size)
    how: dict[str, Any] = {"return_dict": True, "verbose": 0}
    with precision(spec.dtype_policy):
        try:
            found = (
                model.evaluate(*fed, batch_size=batch_size, **how)
                if isinstance(fed, tuple)
                else model.evaluate(fed, **how)
            )
        except (ValueError, TypeError) as error:
            raise DatasetError(f"dataset: does not fit the model: {explanation(error)}") from error
    return {name: float(value) for name, value in found.items()}
