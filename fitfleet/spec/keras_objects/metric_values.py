"""Metrics with several values in place of a number: of each class, or for each threshold.

A history holds each of them under a name of its own: `f1_score.0`, `f1_score.1`.
"""

from __future__ import annotations

from typing import Any

_BY_CLASS = {"F1Score": "average", "FBetaScore": "average", "R2Score": "class_aggregation"}
# What R2Score aggregates by, where it is not told; the others have a value for each class then.
_DEFAULTS = {"R2Score": "uniform_average"}


def has_several_values(class_name: str, config: Any) -> bool:
    """Whether a metric of `keras.metrics` with these arguments is no single number."""
    config = config if isinstance(config, dict) else {}
    argument = _BY_CLASS.get(class_name)
    if argument is not None:
        return config.get(argument, _DEFAULTS.get(class_name)) is None
    thresholds = config.get("thresholds")
    return isinstance(thresholds, list) and len(thresholds) > 1 and class_name != "AUC"
