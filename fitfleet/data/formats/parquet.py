"""Parquet files, read by pyarrow (the extra `parquet`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitfleet.data.formats.columns import ColumnSource
from fitfleet.data.formats.file import DataFile
from fitfleet.data.formats.options import TableOptions
from fitfleet.data.formats.source import Array, check_expansion
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError, MissingExtraError
from fitfleet.text import first_line


class ParquetSource(ColumnSource):
    """The columns of one Parquet file; lists are padded with zeros at their ends."""

    def __init__(self, file: DataFile, limits: Limits, options: TableOptions) -> None:
        self._table = _open(file)
        self._has_lists = any(map(_is_list, self._table.schema_arrow.types))
        try:
            super().__init__(file, limits, options)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._table.close(force=True)

    def _read_names(self) -> list[str]:
        return [str(name) for name in self._table.schema_arrow.names]

    def _read_columns(self, names: list[str]) -> dict[str, Array]:
        for name in names:
            self._check_type(name)
        place = f"{self._path}:{', '.join(names)[:80]}"
        self._check_bytes(place, len(names))
        try:
            table = self._table.read(columns=names, use_threads=False)
            self._check_table(place, table, names)
            return {name: self._array(place, table.column(name)) for name in names}
        except _damage_errors() as error:
            raise DatasetError(f"{place}: not a readable Parquet file: {_reason(error)}") from None

    def _array(self, place: str, column: Any) -> Array:
        if not _is_list(column.type):
            return np.asarray(_plain(column).to_numpy(zero_copy_only=False))
        import pyarrow.compute

        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy())) + 1
            raise DatasetError(
                f"{place}: row {row:,} is missing, where others are lists; leave out such rows, or"
                " give them an empty list, which is padded with zeros"
            )
        lengths = pyarrow.compute.list_value_length(column).to_numpy()
        values = pyarrow.compute.list_flatten(column)
        longest = max(1, int(lengths.max(initial=0)))
        nbytes = len(lengths) * longest * 8
        if nbytes > self._max_bytes:
            raise DatasetError(
                f"{place}: its lists are {nbytes:,} bytes, padded to the longest of {longest:,},"
                f" above the {self._max_bytes:,} that a table is read up to; cut them"
            )
        flat = np.asarray(_plain(values).to_numpy())
        padded = np.zeros((len(lengths), longest), flat.dtype)
        padded[np.arange(longest) < lengths[:, None]] = flat
        return padded

    def _read_text(self, name: str) -> Any:
        import pyarrow

        kind = self._check_once(name)
        types = pyarrow.types
        inner = kind.value_type if types.is_dictionary(kind) else kind
        if not (types.is_string(inner) or types.is_large_string(inner) or types.is_integer(inner)):
            raise DatasetError(f"{self._path}: column {name!r} contains {kind}, not text")
        place = f"{self._path}:{name}"
        self._check_bytes(place, 1)
        try:
            table = self._table.read(columns=[name], use_threads=False)
            self._check_table(place, table, [name])
            return table.column(name).cast(pyarrow.string()).to_pandas()
        except _damage_errors() as error:
            raise DatasetError(f"{place}: not a readable Parquet file: {_reason(error)}") from None

    def _check_bytes(self, place: str, columns: int) -> None:
        """The footer's numbers, before anything is read by them."""
        footer = self._table.metadata
        groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
        rows = sum(group.num_rows for group in groups)
        if rows != footer.num_rows or any(group.num_rows < 0 for group in groups):
            raise DatasetError(
                f"{place}: declares {footer.num_rows:,} rows, its row groups {rows:,}; the file is"
                " damaged"
            )
        # A column of lists has more values than rows.
        values = sum(
            group.column(index).num_values for group in groups for index in range(group.num_columns)
        )
        nbytes = max(rows * 8 * columns, 8 * values if self._has_lists else 0)
        if nbytes > self._max_bytes:
            raise DatasetError(
                f"{place}: {rows:,} rows of {columns} columns are {nbytes:,} bytes, above the"
                f" {self._max_bytes:,} that a table is read up to; store it as HDF5, which streams"
            )
        check_expansion(place, nbytes, self._file.size)

    def _check_table(self, place: str, table: Any, names: list[str]) -> None:
        rows = self._table.metadata.num_rows
        if list(table.column_names) != names or table.num_rows != rows:
            raise DatasetError(
                f"{place}: gives {table.num_rows:,} rows of {len(table.column_names)} columns where"
                f" {rows:,} of {len(names)} are declared; give its columns names of their own,"
                " without dots"
            )

    def _check_type(self, name: str) -> None:
        import pyarrow

        kind = self._check_once(name)
        types = pyarrow.types
        kind = kind.value_type if _is_list(kind) else kind
        is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
        if not is_number:
            raise DatasetError(
                f"{self._path}: column {name!r} contains {kind}, not numbers; encode it as integers"
                " or floats first, or name a column of text in Dataset(path, categories=[...])"
            )

    def _check_once(self, name: str) -> Any:
        """The type of a column whose name no other has."""
        if self._names.count(name) > 1:
            raise DatasetError(
                f"{self._path}: contains two columns {name!r}; give them different names"
            )
        return self._table.schema_arrow.field(name).type


def _is_list(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _plain(column: Any) -> Any:
    """One contiguous array; null booleans would become objects, so they become floats."""
    import pyarrow

    if column.null_count and pyarrow.types.is_boolean(column.type):
        column = column.cast(pyarrow.float64())
    return column


def _open(file: DataFile) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet") from None
    try:
        return parquet.ParquetFile(file.open())
    except _damage_errors() as error:
        place = f"{file.path}: not a readable Parquet file"
        raise DatasetError(f"{place}: {_reason(error)}") from None


def _damage_errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises for a damaged file."""
    import pyarrow

    return (ValueError, OSError, MemoryError, KeyError, TypeError, pyarrow.ArrowException)


def _reason(error: Exception) -> str:
    return first_line(error, 160)
