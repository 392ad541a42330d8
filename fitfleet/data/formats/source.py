"""The interface of every format (names, headers, rows in blocks), and limits of all formats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from fitfleet.errors import DatasetError
from fitfleet.spec.job import Floatx

# One array of a file: its name, or several columns of a table side by side.
Leaf = str | tuple[str, ...]
Array = np.ndarray[Any, np.dtype[Any]]

MAX_TEXT_BYTES = 2**20
MAX_DIMENSIONS = 6  # ConvLSTM3D: rows, time, three of space, channels
MAX_NAMES = 10_000
BLOCK_BYTES = 8 * 2**20
# Small arrays may expand to any size; for a larger one the file must store a part of it.
FREE_BYTES = 64 * 2**20
MAX_EXPANSION = 200


@dataclass(frozen=True)
class Header:
    """Shape and dtype as the file declares them, read without reading the array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the array in memory, in the file's own dtype."""
        return prod(self.shape) * self.dtype.itemsize


class Source(Protocol):
    """An open dataset. Every array handed out has passed the format's checks."""

    is_table: bool

    def names(self) -> list[str]:
        """The arrays (or columns) of the file."""
        ...

    def header(self, leaf: Leaf) -> Header:
        """Shape and dtype. Raises DatasetError when it is missing or unsafe."""
        ...

    def blocks(self, leaf: Leaf) -> Iterator[Array]:
        """The rows in order, in blocks of bounded size, in the file's dtype."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Opened:
    """A source that is closed at the end of its `with` block."""

    def close(self) -> None:
        """Close the file; nothing is open by default."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def loaded_dtype(dtype: np.dtype[Any], floatx: Floatx) -> np.dtype[Any]:
    """float64 becomes `floatx`, as Keras casts to it; all else stays, in native order."""
    if dtype.kind == "f" and dtype.itemsize == 8:
        return np.dtype(floatx)
    if dtype.kind == "S":
        return np.dtype(f"S{dtype.itemsize}")  # without h5py's metadata of its encoding
    return dtype.newbyteorder("=")


def check_header(place: str, header: Header, max_bytes: int) -> Header:
    """The header. Raises DatasetError for an array that no fit can use or that is too large."""
    is_text = header.dtype.kind == "S" and 1 <= header.dtype.itemsize <= MAX_TEXT_BYTES
    if not is_text and (header.dtype.kind not in "fiub" or header.dtype.itemsize > 8):
        raise DatasetError(f"{place}: contains {_instead_of_numbers(header.dtype)}")
    if not 1 <= len(header.shape) <= MAX_DIMENSIONS:
        raise DatasetError(
            f"{place}: has {len(header.shape)} dimensions; an array has rows first, and 1 to"
            f" {MAX_DIMENSIONS} dimensions"
        )
    if any(size < 0 for size in header.shape):
        raise DatasetError(f"{place}: declares the shape {header.shape}; the file is damaged")
    if 0 in header.shape[1:]:
        raise DatasetError(
            f"{place}: has the shape {header.shape}, so its rows hold no values; give an array"
            " whose rows hold at least one"
        )
    if header.nbytes > max_bytes:
        raise DatasetError(
            f"{place}: is {header.nbytes:,} bytes after decompression, above the setting"
            f" max_dataset_bytes={max_bytes:,}; raise it or use a smaller dataset"
        )
    return header


def check_expansion(place: str, nbytes: int, stored_bytes: int) -> None:
    """Raise DatasetError for data that decompress to far more bytes than are stored."""
    if nbytes > FREE_BYTES and nbytes > MAX_EXPANSION * stored_bytes:
        raise DatasetError(
            f"{place}: declares {nbytes:,} bytes but the file stores {stored_bytes:,}; more than"
            f" {MAX_EXPANSION}-fold expansion is refused, store it with less compression"
        )


def missing(place: str, name: str, names: list[str]) -> DatasetError:
    """The error for an array that does not exist, with the names of those that do."""
    shown = ", ".join(sorted(names)[:20]) + (", ..." if len(names) > 20 else "")
    return DatasetError(
        f"{place}: has no array {name!r}; it contains {shown or 'no arrays at all'}"
    )


def rows_per_block(header: Header) -> int:
    """The number of rows in a block of about BLOCK_BYTES, at least one."""
    row_bytes = max(1, header.nbytes // max(1, header.shape[0]))
    return max(1, BLOCK_BYTES // row_bytes)


def _instead_of_numbers(dtype: np.dtype[Any]) -> str:
    """What an array contains that no fit takes, and the remedy."""
    if dtype.names:
        fields = ", ".join(dtype.names)[:120]
        return (
            f"a table of the fields {fields}, not numbers; name one of them, such as"
            f" x='table/{dtype.names[0]}'"
        )
    if dtype.metadata and "vlen" in dtype.metadata and dtype.metadata["vlen"] not in (str, bytes):
        return (
            "rows of different lengths, not numbers; pad them (keras.utils.pad_sequences), with a"
            " mask in the model, and store one array"
        )
    if dtype.kind in "OSUT":
        return (
            "text or objects, not numbers; store codes, such as those of numpy.unique(labels,"
            " return_inverse=True), or the rows as a CSV file, whose words are encoded"
        )
    return f"{dtype}, not numbers; store floats, integers or booleans"
