"""Datasets of HDF5 whose rows are not plain numbers, seen as arrays of rows.

Fields of a table (`table/field`), rows of different lengths (padded with zeros at their ends),
texts, and arrays of MATLAB, whose axes are reversed. Each view reads the rows it is asked for.
"""

from __future__ import annotations

from math import prod
from typing import Any, Protocol

import numpy as np

from fitfleet.data.formats.source import Array
from fitfleet.data.formats.text import text_array
from fitfleet.errors import DatasetError

_SCAN_ROWS = 4096


class Rows(Protocol):
    """The attributes of an h5py dataset that are used; a view has the same."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    id: Any

    def __getitem__(self, chosen: slice) -> Array: ...


def view(place: str, dataset: Any, field: str, *, is_matlab: bool) -> Any:
    """The dataset itself, or the view of it that a fit can use. Raises DatasetError."""
    import h5py

    if field:
        return _Field(place, dataset, field)
    dtype = dataset.dtype
    if len(dataset.shape) == 1 and h5py.check_string_dtype(dtype) is not None and dtype.kind == "O":
        return _Texts(place, dataset)
    base = h5py.check_vlen_dtype(dtype)
    if base is not None and len(dataset.shape) == 1:
        return _Padded(dataset, np.dtype(base))
    if is_matlab and len(dataset.shape) > 1 and dtype.kind in "fiub":
        return _Reversed(dataset)
    return dataset


class _View:
    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.name: str = dataset.name
        self.id = dataset.id
        self.chunks: tuple[int, ...] | None = dataset.chunks
        self.shape: tuple[int, ...] = tuple(dataset.shape)
        self.dtype: np.dtype[Any] = dataset.dtype


class _Field(_View):
    """One field of a table (a compound dtype), shape (rows, *shape of the field)."""

    def __init__(self, place: str, dataset: Any, field: str) -> None:
        super().__init__(dataset)
        fields = dataset.dtype.fields or {}
        if field not in fields:
            raise DatasetError(
                f"{place}: the table has no field {field!r}; it has"
                f" {', '.join(map(str, fields))[:120] or 'none'}"
            )
        self._field = field
        whole = fields[field][0]
        self.dtype, inner = whole.subdtype or (whole, ())
        self.shape = (*self.shape, *inner)
        self.name = f"{self.name}/{field}"

    def __getitem__(self, chosen: slice) -> Array:
        return np.asarray(self._dataset.fields(self._field)[chosen])


class _Padded(_View):
    """Rows of different lengths, shape (rows, longest), zeros after the end of a row."""

    def __init__(self, dataset: Any, base: np.dtype[Any]) -> None:
        super().__init__(dataset)
        self.dtype = base
        longest = max((_longest(block) for block in _scan(dataset)), default=0)
        self.shape = (*self.shape, max(1, longest))

    def __getitem__(self, chosen: slice) -> Array:
        rows = self._dataset[chosen]
        padded = np.zeros((len(rows), *self.shape[1:]), self.dtype)
        for number, row in enumerate(rows):
            if row is not None:
                padded[number, : len(row)] = row
        return padded


class _Texts(_View):
    """Strings of any length, shape (rows,)."""

    def __init__(self, place: str, dataset: Any) -> None:
        super().__init__(dataset)
        self._place = place
        widths = (text_array(place, block).dtype.itemsize for block in _scan(dataset))
        self.dtype = np.dtype(f"S{max(widths, default=1)}")

    def __getitem__(self, chosen: slice) -> Array:
        return text_array(self._place, self._dataset[chosen]).astype(self.dtype)


class _Reversed(_View):
    """An array of MATLAB, which stores the last axis first: rows are the first axis again."""

    def __init__(self, dataset: Any) -> None:
        super().__init__(dataset)
        self.shape = self.shape[::-1]
        self.chunks = None if self.chunks is None else self.chunks[::-1]

    def __getitem__(self, chosen: slice) -> Array:
        return np.ascontiguousarray(np.asarray(self._dataset[..., chosen]).T)


def _scan(dataset: Any) -> Any:
    for start in range(0, dataset.shape[0], _SCAN_ROWS):
        yield dataset[start : start + _SCAN_ROWS]


def _longest(rows: Any) -> int:
    return max((0 if row is None else len(row) for row in rows), default=0)


def stored_bytes(dataset: Any, file: Any) -> int:
    """Upper bound of the stored bytes: rows of different lengths are stored outside the dataset."""
    whole = int(file.id.get_filesize())
    if isinstance(dataset, _Padded | _Texts):
        return whole
    stored = int(dataset.id.get_storage_size())
    if isinstance(dataset, _Field):  # the field's part of the table
        table_row_bytes = int(dataset._dataset.dtype.itemsize)
        return min(whole, stored * _row_bytes(dataset) // max(1, table_row_bytes) + 1)
    return min(whole, stored)


def _row_bytes(rows: Rows) -> int:
    return int(prod(rows.shape[1:]) * rows.dtype.itemsize)
