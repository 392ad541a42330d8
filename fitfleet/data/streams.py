"""Rows of an HDF5 array that is too large to be read at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.formats.source import Array


class Stream:
    """A lazy array: rows are read when they are asked for. Not shared between processes."""

    def __init__(self, path: Path, name: str, max_bytes: int, start: int = 0, stop: int = -1):
        from fitfleet.data.formats.hdf5 import Hdf5Source

        self._path, self._name, self._max_bytes = path, name, max_bytes
        self._source = Hdf5Source(path, max_bytes)
        self._dataset = self._source.dataset(name)
        self._start = start
        self._rows = (self._dataset.shape[0] if stop < 0 else stop) - start
        self.dtype = self._source.header(name).loaded_dtype

    def __len__(self) -> int:
        return self._rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, ...)."""
        return (self._rows, *self._dataset.shape[1:])

    def part(self, start: int, stop: int) -> Stream:
        """The rows start to stop, still unread."""
        first = self._start + start
        return Stream(self._path, self._name, self._max_bytes, first, self._start + stop)

    def take(self, indices: Any) -> Array:
        """The rows of these numbers, in their order, shape (len(indices), ...)."""
        wanted, back = np.unique(np.asarray(indices) + self._start, return_inverse=True)
        # h5py reads an increasing list of rows; the order is restored afterwards.
        rows = self._dataset[wanted]
        return np.asarray(rows[back], dtype=self.dtype)
