"""Keras keeps some numbers as float32; here is the number its user wrote."""

from __future__ import annotations

import math
import struct


def shortest(value: float) -> float:
    """The shortest decimal of the same float32, if `value` is one: 0.0010000000474974513 → 0.001.

    A value that no float32 holds exactly was never one, and comes back unchanged.
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
