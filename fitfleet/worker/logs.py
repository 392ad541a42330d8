"""Losses and metrics of an epoch: as Keras logs them, and as a history holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fitfleet.errors import SpecError

# By Keras's names, without val_: a number, or of a metric with several values an array (values,).
Logs = dict[str, Any]

_MAX_VALUES = 100


def flat(logs: Mapping[str, Any]) -> Logs:
    """Logs as Keras's `fit` passes them to callbacks: no dict in the dict, no tensors.

    A train_step that returns `{m.name: m.result() for m in self.metrics}` gives the metrics of
    `compile` as a nested dict. SpecError for a value that is neither a number nor a short array of
    numbers, such as the losses of all rows.
    """
    flat_logs: Logs = {}
    for name, value in logs.items():
        if isinstance(value, Mapping):
            flat_logs |= flat(value)
        else:
            flat_logs[name] = _value(name, value)
    return flat_logs


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """A number for each name: three values of `f1_score` are `f1_score.0` to `f1_score.2`."""
    single: dict[str, float] = {}
    for name, value in flat(logs).items():
        if isinstance(value, float):
            single[name] = value
        else:
            single |= {f"{name}.{index}": float(each) for index, each in enumerate(value)}
    return single


def _value(name: str, value: Any) -> float | np.ndarray:
    try:
        array = np.asarray(value, "float64")
    except (TypeError, ValueError):
        raise SpecError(
            "model", f"its step gives {name!r:.60} as {value!r:.60}, which is no number"
        ) from None
    if array.ndim == 0:
        return float(array)
    if array.ndim > 1 or array.size > _MAX_VALUES or name.removeprefix("val_") == "loss":
        raise SpecError(
            "model",
            f"its step gives {name!r:.60} as a value of shape {array.shape}; a history holds a"
            f" number for a name, of metrics at most {_MAX_VALUES} in a row; return their mean",
        )
    return array
