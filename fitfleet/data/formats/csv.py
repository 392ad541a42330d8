"""CSV files with a header line, read by pandas after their lines were compared with the header."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from typing import IO, Any

from fitfleet.data.formats.columns import ColumnSource, numbers
from fitfleet.data.formats.csv_lines import CsvHeader, check_lines, read_header
from fitfleet.data.formats.file import DataFile
from fitfleet.data.formats.options import TableOptions
from fitfleet.data.formats.source import Array, check_expansion
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError


class CsvSource(ColumnSource):
    """The columns of a CSV file in UTF-8, names in the first line."""

    def __init__(self, file: DataFile, limits: Limits, options: TableOptions) -> None:
        names = [part.lower() for part in file.path.suffixes]
        self._delimiter = options.delimiter or ("\t" if ".tsv" in names[-2:] else ",")
        self._unpacked = _unpack(file, limits.table_bytes) if names[-1:] == [".gz"] else None
        self._header = CsvHeader([], 0, 0)
        self._rows: int | None = None
        super().__init__(file, limits, options)

    def _read_names(self) -> list[str]:
        with self._open() as file:
            self._header = read_header(str(self._path), file, self._delimiter)
        return self._header.names

    def _read_columns(self, names: list[str]) -> dict[str, Array]:
        columns = [self._index(name) for name in names]
        frame = self._frame(columns)
        return {
            name: numbers(self._path, name, frame[index])
            for name, index in zip(names, columns, strict=True)
        }

    def _read_text(self, name: str) -> Any:
        index = self._index(name)
        return self._frame([index], dtype={index: str})[index]

    def _open(self) -> IO[bytes]:
        return self._file.open() if self._unpacked is None else io.BytesIO(self._unpacked)

    def _frame(self, columns: list[int], **more: Any) -> Any:
        with self._open() as file:
            if self._rows is None:
                self._rows = check_lines(str(self._path), file, self._header, self._delimiter)
            frame = self._parse(file, columns, **more)
        if len(frame) != self._rows:
            raise DatasetError(
                f"{self._path}: has {self._rows:,} lines of data but {len(frame):,} rows are read;"
                " save the file again, with quotes only around whole fields"
            )
        return frame

    def _index(self, name: str) -> int:
        if self._header.names.count(name) > 1:
            raise DatasetError(
                f"{self._path}: names two columns {name!r}; give them different names in its first"
                " line"
            )
        return self._header.names.index(name)

    def _parse(self, file: IO[bytes], columns: list[int], **more: Any) -> Any:
        """A frame of some columns, by their index in the header."""
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
                decimal=self._options.decimal,
                na_values=list(self._options.missing),
                **more,
            )
        except pandas.errors.EmptyDataError:
            return pandas.DataFrame({column: [] for column in columns}, dtype=float)
        except (ValueError, OSError, OverflowError) as error:  # pandas' errors are ValueErrors
            raise DatasetError(f"{self._path}: not a readable CSV file: {error}") from None


def _unpack(file: DataFile, max_bytes: int) -> bytes:
    """The decompressed content. Raises DatasetError before it exceeds `max_bytes`."""
    try:
        with gzip.GzipFile(fileobj=file.open()) as packed:
            content = packed.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{file.path}: cannot be decompressed: {str(error)[:100]}") from None
    if len(content) > max_bytes:
        raise DatasetError(
            f"{file.path}: is more than {max_bytes:,} bytes unpacked, the limit for a table;"
            " store it as HDF5, which streams"
        )
    check_expansion(str(file.path), len(content), file.size)
    return content
