"""CSV files with a header line, read by pandas after their lines are found to fit the header."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from fitfleet.data.formats.columns import ColumnSource, numbers
from fitfleet.data.formats.csv_lines import CsvHeader, check_lines, read_header
from fitfleet.data.formats.file import DataFile
from fitfleet.data.formats.source import Array
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError


class CsvSource(ColumnSource):
    """The columns of a CSV file in UTF-8, names in the first line."""

    def __init__(self, file: DataFile, limits: Limits, delimiter: str = ",") -> None:
        self._delimiter = delimiter
        self._header = CsvHeader([], 0, 0)
        self._rows: int | None = None
        super().__init__(file, limits)

    def _read_names(self) -> list[str]:
        with self._file.open() as file:
            self._header = read_header(str(self._path), file, self._delimiter)
        return self._header.names

    def _read_columns(self, names: list[str]) -> dict[str, Array]:
        columns = [self._index(name) for name in names]
        with self._file.open() as file:
            if self._rows is None:
                self._rows = check_lines(str(self._path), file, self._header, self._delimiter)
            frame = self._parse(file, columns)
        if len(frame) != self._rows:
            raise DatasetError(
                f"{self._path}: has {self._rows:,} lines of data but {len(frame):,} rows are read;"
                " save the file again, with quotes only around whole fields"
            )
        return {
            name: numbers(self._path, name, frame[index])
            for name, index in zip(names, columns, strict=True)
        }

    def _index(self, name: str) -> int:
        if self._header.names.count(name) > 1:
            raise DatasetError(
                f"{self._path}: names two columns {name!r}; give them different names in its first"
                " line"
            )
        return self._header.names.index(name)

    def _parse(self, file: IO[bytes], columns: list[int]) -> Any:
        """A frame with the columns that are asked for, by their place in the header."""
        import pandas

        read: Callable[..., Any] = pandas.read_csv
        file.seek(self._header.offset)
        try:
            # An open handle: given a string, pandas would fetch URLs and guess compressions.
            return read(
                file,
                sep=self._delimiter,
                header=None,
                names=list(range(len(self._header.names))),
                usecols=sorted(set(columns)),
                index_col=False,
                float_precision="round_trip",
                low_memory=False,
            )
        except pandas.errors.EmptyDataError:
            return pandas.DataFrame({column: [] for column in columns}, dtype=float)
        except (ValueError, OSError, OverflowError) as error:  # pandas' errors are ValueErrors
            raise DatasetError(f"{self._path}: not a readable CSV file: {error}") from None
