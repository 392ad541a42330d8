"""NumPy's .npy files, one array per file, and the checked header that .npz shares."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from fitfleet.data.formats.file import DataFile
from fitfleet.data.formats.source import (
    Array,
    Header,
    Leaf,
    Opened,
    check_header,
    missing,
    rows_per_block,
)
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError

MAX_HEADER_BYTES = 10_000
# What literal_eval and NumPy raise for a header that is no such dictionary.
_BAD_HEADER = (
    ValueError,
    KeyError,
    EOFError,
    OSError,
    SyntaxError,
    TypeError,
    RecursionError,
    MemoryError,
    AttributeError,
    IndexError,
    tokenize.TokenError,
)
_MAX_ROWS = 2**63


class NpySource(Opened):
    """`.npy` files under the array names that `DatasetSpec.files` gives them."""

    is_table = False

    def __init__(self, files: Mapping[str, DataFile], limits: Limits) -> None:
        self._files = files
        self._limits = limits

    def names(self) -> list[str]:
        """The names that `files` gives."""
        return list(self._files)

    def header(self, leaf: Leaf) -> Header:
        """Shape and dtype, checked against the file's size."""
        with self._file(leaf).open() as file:
            return self._read_header(leaf, file)[0]

    def blocks(self, leaf: Leaf) -> Iterator[Array]:
        """Rows in blocks."""
        with self._file(leaf).open() as file:
            header, is_fortran = self._read_header(leaf, file)
            yield from read_blocks(str(self._file(leaf).path), file, header, is_fortran)

    def _file(self, leaf: Leaf) -> DataFile:
        if not isinstance(leaf, str) or leaf not in self._files:
            raise missing("dataset.files", str(leaf), self.names())
        return self._files[leaf]

    def _read_header(self, leaf: Leaf, file: IO[bytes]) -> tuple[Header, bool]:
        data_file = self._file(leaf)
        return read_header(str(data_file.path), file, data_file.size, self._limits)


def read_header(
    place: str, file: IO[bytes], size_bytes: int, limits: Limits
) -> tuple[Header, bool]:
    """(header, whether in Fortran order); the file is then at the first byte of the data.

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
    except _BAD_HEADER:  # NumPy's message would quote the whole header
        raise DatasetError(
            f"{place}: not a readable .npy array: its header is damaged; save it again with"
            " numpy.save"
        ) from None
    if any(abs(size) >= _MAX_ROWS for size in shape):
        raise DatasetError(f"{place}: declares a shape beyond 2**63; the file is damaged")
    if dtype.hasobject:
        raise DatasetError(
            f"{place}: contains pickled Python objects, which can run code and are refused; save it"
            " as an array of numbers"
        )
    header = check_header(place, Header(tuple(map(int, shape)), dtype), limits.array_bytes)
    if header.nbytes != size_bytes - file.tell():
        raise DatasetError(
            f"{place}: its header declares {header.nbytes:,} bytes but"
            f" {size_bytes - file.tell():,} are stored; the file is damaged or incomplete"
        )
    if is_fortran and len(shape) > 1 and header.nbytes > limits.table_bytes:
        raise DatasetError(
            f"{place}: is in Fortran order and {header.nbytes:,} bytes, above the setting"
            f" memory_bytes={limits.table_bytes:,} up to which such an array is read; save"
            " numpy.ascontiguousarray of it"
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
        raise DatasetError(f"{place}: is truncated; the file is damaged or incomplete")
    return np.frombuffer(data, dtype)
