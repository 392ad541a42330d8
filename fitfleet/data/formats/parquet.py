"""Parquet files, read by pyarrow (the extra `parquet`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.formats.columns import ColumnSource
from fitfleet.data.formats.source import Array, check_expansion
from fitfleet.errors import DatasetError, MissingExtraError


class ParquetSource(ColumnSource):
    """The flat columns of one Parquet file."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._file = _open(path)
        try:
            super().__init__(path, max_bytes)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)

    def _read_names(self) -> list[str]:
        return [str(name) for name in self._file.schema_arrow.names]

    def _read_columns(self, names: list[str]) -> dict[str, Array]:
        for name in names:
            self._check_type(name)
        rows = self._file.metadata.num_rows
        nbytes = rows * 8 * len(names)
        place = f"{self._path}:{', '.join(names)}"
        if nbytes > self._max_bytes:
            raise DatasetError(
                f"{place}: {rows:,} rows of {len(names)} columns are {nbytes:,} bytes, above the"
                f" {self._max_bytes:,} that a table is read up to; store it as HDF5, which streams"
            )
        check_expansion(place, nbytes, self._path.stat().st_size)
        try:
            table = self._file.read(columns=names, use_threads=False)
            return {
                name: np.asarray(_plain(table.column(name)).to_numpy(zero_copy_only=False))
                for name in names
            }
        except (ValueError, OSError, MemoryError) as error:  # pyarrow's errors are these
            raise DatasetError(f"{self._path}: not a readable Parquet file: {error}") from None

    def _check_type(self, name: str) -> None:
        import pyarrow

        kind = self._file.schema_arrow.field(name).type
        types = pyarrow.types
        is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
        if not is_number:
            raise DatasetError(
                f"{self._path}: column {name!r} holds {kind}, not numbers; encode it as integers"
                " or floats first"
            )


def _plain(column: Any) -> Any:
    """One contiguous array; null booleans would become objects, so they become floats."""
    import pyarrow

    if column.null_count and pyarrow.types.is_boolean(column.type):
        column = column.cast(pyarrow.float64())
    return column


def _open(path: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet") from None
    try:
        return parquet.ParquetFile(path.open("rb"))
    except (ValueError, OSError, pyarrow.ArrowException) as error:
        raise DatasetError(f"{path}: not a readable Parquet file: {error}") from None
