"""Sliding windows over a series, without copying it."""

from __future__ import annotations

import numpy as np

from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError
from fitfleet.spec.job import Windows


def count(steps: int, windows: Windows) -> int:
    """How many windows a series of so many steps gives, each with its target."""
    return max(0, (steps - windows.length - windows.horizon) // windows.stride + 1)


def starts(steps: int, windows: Windows) -> range:
    """The first row of each window."""
    return range(0, count(steps, windows) * windows.stride, windows.stride)


def target_rows(steps: int, windows: Windows) -> range:
    """The row of each window's target, `horizon` steps after the window's last row."""
    offset = windows.length - 1 + windows.horizon
    return range(offset, offset + count(steps, windows) * windows.stride, windows.stride)


def inputs(series: Array, windows: Windows) -> Array:
    """A read-only view, shape (n, length, ...): `series[i*stride : i*stride + length]`."""
    step = series.strides[0]
    return np.lib.stride_tricks.as_strided(
        series,
        shape=(count(len(series), windows), windows.length, *series.shape[1:]),
        strides=(step * windows.stride, step, *series.strides[1:]),
        writeable=False,
    )


def targets(series: Array, windows: Windows) -> Array:
    """A view, shape (n, ...): `series[i*stride + length - 1 + horizon]`."""
    rows = target_rows(len(series), windows)
    return series[rows.start : rows.stop : rows.step]


def check(windows: Windows) -> None:
    """Refuse sizes that make no windows. Raises DatasetError."""
    for name, minimum in (("length", 1), ("stride", 1), ("horizon", 0)):
        value = getattr(windows, name)
        if value < minimum:
            raise DatasetError(
                f"dataset.windows.{name}: {value} is below {minimum}; give {minimum} or more"
            )
