"""Sliding windows over a series, without copying it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitfleet.errors import DatasetError
from fitfleet.spec.job import Windows


def count(rows: int, windows: Windows) -> int:
    """How many windows a series of so many steps gives, each with its target."""
    last_start = rows - windows.length - windows.horizon
    return 0 if last_start < 0 else last_start // windows.stride + 1


def inputs(series: Any, windows: Windows) -> Any:
    """Windows of a series of shape (steps, ...): a view of shape (n, length, ...)."""
    _check(series, windows)
    view = np.lib.stride_tricks.sliding_window_view(series, windows.length, axis=0)
    rows = view[:: windows.stride][: count(len(series), windows)]
    return np.moveaxis(rows, -1, 1)


def targets(series: Any, windows: Windows) -> Any:
    """The target of each window, shape (n, ...): the row `horizon` steps after its last one."""
    _check(series, windows)
    first = windows.length - 1 + windows.horizon
    return series[first :: windows.stride][: count(len(series), windows)]


def _check(series: Any, windows: Windows) -> None:
    if count(len(series), windows) < 1:
        raise DatasetError(
            f"dataset.windows: a series of {len(series)} steps has no window of length"
            f" {windows.length} with horizon {windows.horizon}"
        )
