"""NumPy's .npy files, one array a file, and the checked header that .npz shares."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from fitfleet.data.formats.source import (
    Array,
    Header,
    Leaf,
    Opened,
    check_header,
    missing,
    rows_per_block,
)
from fitfleet.errors import DatasetError

MAX_HEADER_BYTES = 10_000


class NpySource(Opened):
    """`.npy` files under the array names that `DatasetSpec.files` gives them."""

    is_table = False

    def __init__(self, files: Mapping[str, Path], max_bytes: int) -> None:
        self._files = files
        self._max_bytes = max_bytes

    def names(self) -> list[str]:
        """The names that `files` gives."""
        return list(self._files)

    def header(self, leaf: Leaf) -> Header:
        """Shape and dtype, checked against the file's size."""
        with self._path(leaf).open("rb") as file:
            return self._read_header(leaf, file)[0]

    def blocks(self, leaf: Leaf) -> Iterator[Array]:
        """Rows in blocks."""
        with self._path(leaf).open("rb") as file:
            header, is_fortran = self._read_header(leaf, file)
            yield from read_blocks(str(self._path(leaf)), file, header, is_fortran)

    def _path(self, leaf: Leaf) -> Path:
        if not isinstance(leaf, str) or leaf not in self._files:
            raise missing("dataset.files", str(leaf), self.names())
        return self._files[leaf]

    def _read_header(self, leaf: Leaf, file: IO[bytes]) -> tuple[Header, bool]:
        path = self._path(leaf)
        return read_header(str(path), file, os.fstat(file.fileno()).st_size, self._max_bytes)


def read_header(
    place: str, file: IO[bytes], size_bytes: int, max_bytes: int
) -> tuple[Header, bool]:
    """Header and whether it is in Fortran order; the file stands at the first byte of the data.

    Raises DatasetError for pickled objects, a foreign dtype, or a shape that does not fill
    exactly the bytes that are there.
    """
    try:
        version = np.lib.format.read_magic(file)
        read: Any = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = read(file, max_header_size=MAX_HEADER_BYTES)
    except (ValueError, KeyError, EOFError, OSError, SyntaxError, TypeError) as error:
        raise DatasetError(f"{place}: not a readable .npy array: {error}") from None
    if dtype.hasobject:
        raise DatasetError(
            f"{place}: holds pickled Python objects, which can run code and are refused; save it"
            " as an array of numbers"
        )
    header = check_header(place, Header(tuple(shape), dtype), max_bytes)
    if header.nbytes != size_bytes - file.tell():
        raise DatasetError(
            f"{place}: its header declares {header.nbytes:,} bytes but"
            f" {size_bytes - file.tell():,} are stored; the file is damaged or incomplete"
        )
    return header, bool(is_fortran)


def read_blocks(place: str, file: IO[bytes], header: Header, is_fortran: bool) -> Iterator[Array]:
    """The rows after the header, in blocks; a Fortran array is read whole, as it is stored."""
    if is_fortran and len(header.shape) > 1:
        yield _exactly(place, file, header.nbytes, header.dtype).reshape(header.shape, order="F")
        return
    row_bytes = header.nbytes // max(1, header.shape[0])
    step = rows_per_block(header)
    for start in range(0, header.shape[0], step):
        rows = min(step, header.shape[0] - start)
        block = _exactly(place, file, rows * row_bytes, header.dtype)
        yield block.reshape((rows, *header.shape[1:]))


def _exactly(place: str, file: IO[bytes], nbytes: int, dtype: np.dtype[Any]) -> Array:
    data = file.read(nbytes)
    if len(data) != nbytes:
        raise DatasetError(f"{place}: ends too early; the file is damaged or incomplete")
    return np.frombuffer(data, dtype)
