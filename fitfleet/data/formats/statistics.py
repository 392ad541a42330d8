"""NaN count, minimum and maximum of an array, read through once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitfleet.data.formats.source import Array, Leaf, Source, loaded_dtype


@dataclass(frozen=True)
class ArrayInfo:
    """One array. `dtype` is that of the file, in native order.

    `minimum` and `maximum` ignore NaN, and are None when the array contains nothing else.
    """

    shape: tuple[int, ...]
    dtype: str
    nan_count: int = 0
    minimum: float | None = None
    maximum: float | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ArrayInfo:
        """From `dataclasses.asdict`, by way of JSON."""
        return cls(**{**value, "shape": tuple(value["shape"])})


def read_through(source: Source, leaf: Leaf, on_block: Callable[[], None]) -> ArrayInfo:
    """The ArrayInfo of a leaf, from all of its rows; `on_block` is called for each block."""
    header = source.header(leaf)
    dtype = loaded_dtype(header.dtype, "float64")
    return ArrayInfo(header.shape, str(dtype), *_scan(source.blocks(leaf), on_block))


def _scan(
    blocks: Iterable[Array], on_block: Callable[[], None]
) -> tuple[int, float | None, float | None]:
    nan_count = 0
    minimum: float | None = None
    maximum: float | None = None
    for block in blocks:
        on_block()
        if block.size == 0 or block.dtype.kind == "S":
            continue
        # fmin and fmax ignore NaN; they return NaN only if there is nothing else.
        low = float(np.fmin.reduce(block, axis=None))
        high = float(np.fmax.reduce(block, axis=None))
        if block.dtype.kind == "f":
            nan_count += int(np.count_nonzero(np.isnan(block)))
        if low == low:
            minimum = low if minimum is None else min(minimum, low)
            maximum = high if maximum is None else max(maximum, high)
    return nan_count, minimum, maximum
