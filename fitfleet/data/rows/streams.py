"""Rows of an HDF5 array that stay in the file until a batch needs them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from fitfleet.data.files.fingerprint import Stamp
from fitfleet.data.formats.hdf5 import open_dataset, open_file, read_rows
from fitfleet.data.formats.source import Array, Header, loaded_dtype, rows_per_block
from fitfleet.data.rows import windows
from fitfleet.errors import DatasetError
from fitfleet.spec.job import Floatx, Windows

# Rows further apart than this many bytes are read separately, nearer ones in one read.
GAP_BYTES = 256 * 2**10


@dataclass(frozen=True)
class StreamFile:
    """The array a stream reads: where it is, and the file's stamp when it was checked."""

    path: Path
    name: str
    stamp: Stamp
    max_bytes: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # as stored
    floatx: Floatx  # the dtype that float64 is read as


@dataclass(eq=False)
class Stream:
    """A lazy array: row i is `file[rows[i]]`, or the `length` rows from there for a window.

    `shape` and `dtype` are those of the array in memory (float64 is read as `file.floatx`). The
    process that reads opens the file, so a Stream may be pickled or used after a fork. Memory is
    used only for the rows of a `take`.
    """

    file: StreamFile
    rows: range | Array
    length: int | None = None
    _open: tuple[int, Any, Any] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, *features), or (rows, length, *features) of windows."""
        middle = () if self.length is None else (self.length,)
        return (len(self.rows), *middle, *self.file.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of what `take` returns."""
        return loaded_dtype(self.file.dtype, self.file.floatx)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole in memory."""
        return Header(self.shape, self.dtype).nbytes

    def take(self, indices: Any) -> Array:
        """The rows at `indices` (any order, repeats allowed), shape (len(indices), ...).

        Raises DatasetError when the file has changed or cannot be read.
        """
        firsts = _file_rows(self.rows, np.asarray(indices, dtype=np.int64))
        if self.length is None:
            return self._read(firsts)
        window_rows = firsts[:, None] + np.arange(self.length)
        block = self._read(window_rows.ravel())
        return block.reshape((len(firsts), self.length, *self.file.shape[1:]))

    def select(self, chosen: slice | Array) -> Stream:
        """A stream over some of the rows; nothing is read."""
        if isinstance(chosen, slice):
            return replace(self, rows=self.rows[chosen], _open=None)
        rows = _file_rows(self.rows, np.asarray(chosen, dtype=np.int64))
        return replace(self, rows=rows, _open=None)

    def windowed(self, size: Windows, lengths: Sequence[int]) -> Stream:
        """The windows of series of these lengths, shape (n, length, ...)."""
        chosen = _slice(windows.starts(lengths, size))
        return replace(self.select(chosen), length=size.length)

    def targets(self, size: Windows, lengths: Sequence[int]) -> Stream:
        """The target of each of these windows, shape (n, ...)."""
        return self.select(_slice(windows.target_rows(lengths, size)))

    def blocks(self) -> Iterator[Array]:
        """All rows in order, in blocks of bounded size."""
        step = rows_per_block(Header(self.shape, self.dtype))
        for start in range(0, len(self), step):
            yield self.take(np.arange(start, min(start + step, len(self))))

    def _read(self, rows: Array) -> Array:
        unique, inverse = np.unique(rows, return_inverse=True)
        out = np.empty((len(unique), *self.file.shape[1:]), self.dtype)
        row_bytes = max(1, Header(self.file.shape, self.file.dtype).nbytes // self.file.shape[0])
        dataset = self._dataset()
        gap = max(1, GAP_BYTES // row_bytes)
        max_rows = max(1, rows_per_block(Header(self.file.shape, self.file.dtype)))
        for first, last in _spans(unique, gap, max_rows):
            low, high = int(unique[first]), int(unique[last - 1]) + 1
            block = read_rows(self.file.path, dataset, low, high)
            out[first:last] = block[unique[first:last] - low]
        return out if len(unique) == len(rows) and _is_sorted(rows) else out[inverse]

    def _dataset(self) -> Any:
        if Stamp.of(self.file.path) != self.file.stamp:  # HDF5 must not open an unchecked file
            raise DatasetError(
                f"{self.file.path}: has changed since it was checked; submit the job again"
            )
        if self._open is None or self._open[0] != os.getpid():
            file = open_file(self.file.path)
            dataset = open_dataset(file, self.file.path, self.file.name, self.file.max_bytes)
            self._open = (os.getpid(), file, dataset)
        return self._open[2]

    def close(self) -> None:
        """Close the file; the next `take` opens it again."""
        if self._open is not None and self._open[0] == os.getpid():
            self._open[1].close()
        self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}


def _slice(rows: range | Array) -> slice | Array:
    return slice(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows


def _file_rows(rows: range | Array, indices: Array) -> Array:
    """The rows of the file at these positions of `rows`. Raises IndexError."""
    if len(indices) and (indices.min() < -len(rows) or indices.max() >= len(rows)):
        raise IndexError(f"row {int(indices.max())} of {len(rows)}")
    indices = np.where(indices < 0, indices + len(rows), indices)
    if isinstance(rows, range):
        return rows.start + indices * rows.step
    return rows[indices]


def _is_sorted(values: Array) -> bool:
    return bool(np.all(values[1:] > values[:-1]))


def _spans(rows: Array, gap: int, max_rows: int) -> Iterator[tuple[int, int]]:
    """Ranges of positions in sorted `rows` that are read together."""
    first = 0
    for position in range(1, len(rows) + 1):
        is_end = position == len(rows)
        if (
            is_end
            or rows[position] - rows[position - 1] > gap
            or rows[position] - rows[first] >= max_rows
        ):
            yield first, position
            first = position
