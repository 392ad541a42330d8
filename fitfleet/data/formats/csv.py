"""CSV files with a header line, read by pandas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fitfleet.data.formats.columns import ColumnSource, numbers
from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError


class CsvSource(ColumnSource):
    """The columns of a CSV file, comma-separated, names in the first line."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        size_bytes = path.stat().st_size
        if size_bytes > max_bytes:
            raise DatasetError(
                f"{path}: is {size_bytes:,} bytes, above the {max_bytes:,} that a CSV file is read"
                " up to; store it as HDF5, which streams"
            )
        super().__init__(path, max_bytes)

    def _read_names(self) -> list[str]:
        frame = self._read(nrows=0)
        return [str(name) for name in frame.columns]

    def _read_columns(self, names: list[str]) -> dict[str, Array]:
        frame = self._read(usecols=names)
        return {name: numbers(self._path, name, frame[name]) for name in names}

    def _read(self, **options: Any) -> Any:
        import pandas

        read: Callable[..., Any] = pandas.read_csv
        try:
            # An open handle: given a string, pandas would fetch URLs and guess compressions.
            with self._path.open("rb") as handle:
                return read(handle, float_precision="round_trip", low_memory=False, **options)
        except (ValueError, OSError, OverflowError) as error:  # pandas' errors are ValueErrors
            raise DatasetError(f"{self._path}: not a readable CSV file: {error}") from None
