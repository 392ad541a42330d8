"""Sliding windows over a series, without copying it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError
from fitfleet.spec.job import Windows


def count(steps: int, windows: Windows) -> int:
    """The number of windows of a series of `steps` rows, each with its target."""
    return max(0, (steps - windows.length - windows.horizon) // windows.stride + 1)


def starts(lengths: Sequence[int], windows: Windows) -> range | Array:
    """The first row of each window in concatenated series of these lengths."""
    if len(lengths) == 1:
        return range(0, count(lengths[0], windows) * windows.stride, windows.stride)
    firsts = np.cumsum([0, *lengths[:-1]])
    parts = [
        first + np.arange(count(length, windows)) * windows.stride
        for first, length in zip(firsts, lengths, strict=True)
    ]
    return np.concatenate(parts).astype(np.int64)


def target_rows(lengths: Sequence[int], windows: Windows) -> range | Array:
    """The row of each window's target, `horizon` steps after the window's last row."""
    offset = windows.length - 1 + windows.horizon
    firsts = starts(lengths, windows)
    if isinstance(firsts, range):
        return range(offset, offset + firsts.stop, windows.stride)
    return firsts + offset


def total(lengths: Sequence[int], windows: Windows) -> int:
    """The number of windows of series of these lengths."""
    return sum(count(length, windows) for length in lengths)


def inputs(series: Array, windows: Windows, lengths: Sequence[int] = ()) -> Array:
    """The rows of each window, shape (n, length, ...): a read-only view of one series, a copy of
    several.
    """
    step = series.strides[0]
    chosen = starts(lengths or [len(series)], windows)
    stride = windows.stride if isinstance(chosen, range) else 1
    positions = max(0, len(series) - windows.length + 1)
    views = np.lib.stride_tricks.as_strided(
        series,
        shape=(
            len(chosen) if isinstance(chosen, range) else positions,
            windows.length,
            *series.shape[1:],
        ),
        strides=(step * stride, step, *series.strides[1:]),
        writeable=False,
    )
    return views if isinstance(chosen, range) else views[chosen]


def targets(series: Array, windows: Windows, lengths: Sequence[int] = ()) -> Array:
    """Shape (n, ...): `series[start + length - 1 + horizon]` of each window."""
    rows = target_rows(lengths or [len(series)], windows)
    if isinstance(rows, range):
        return series[rows.start : rows.stop : rows.step]
    return series[rows]


def run_lengths(ids: Iterable[Array]) -> list[int]:
    """Lengths of the runs of equal numbers in an array of one number for each row, in blocks."""
    lengths_of_runs: list[int] = []
    last: Any = None
    for block in ids:
        flat = block.reshape(-1)
        if not len(flat):
            continue
        borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        lengths = np.diff([0, *borders, len(flat)]).tolist()
        if lengths_of_runs and flat[0] == last:
            lengths_of_runs[-1] += lengths.pop(0)
        lengths_of_runs += lengths
        last = flat[-1]
    return lengths_of_runs


def check(windows: Windows) -> None:
    """Raise DatasetError for a length, stride or horizon that makes no windows."""
    for name, minimum in (("length", 1), ("stride", 1), ("horizon", 0)):
        value = getattr(windows, name)
        if value < minimum:
            raise DatasetError(
                f"dataset.windows.{name}: {value} is below {minimum}; give {minimum} or more"
            )
