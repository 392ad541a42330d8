"""One form of each number, as its user wrote it, so that equal numbers have equal JSON."""

from __future__ import annotations

import math
import struct
from typing import Any


def shortest(value: float) -> float:
    """The shortest decimal of the same float32, if `value` is one: 0.0010000000474974513 → 0.001.

    A value that is not exactly a float32 is returned unchanged.
    """
    if not math.isfinite(value) or _float32(value) != value:
        return value
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if _float32(short) == value:
            return short
    return value


def _float32(value: float) -> float | None:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return None


# Arguments that are floats although their defaults do not tell.
_FRACTIONS = frozenset(
    """
    rate stddev scale offset clipnorm clipvalue global_clipnorm weight_decay loss_scale_factor
    initial_learning_rate decay_rate alpha value factor mean variance drop_path_rate init_values
    recall precision sensitivity specificity negative_slope threshold thresholds values baseline
    l1 l2 warmup_target minimum maximum max_value min_value
    """.split()  # noqa: SIM905
)


def one_number(value: Any, default: Any, argument: str) -> Any:
    """A number in the one form it has: 1 and 1.0, 0.0 and -0.0 are the same argument."""
    if isinstance(value, list):
        return [one_number(part, default, argument) for part in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(default, float) or argument in _FRACTIONS:
        return float(value) + 0.0 if abs(value) < 2**53 else value
    is_count = isinstance(default, int) or argument.endswith("_steps")
    if is_count and isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else value + 0.0
