"""Tables, for CSV and Parquet: a leaf is one column, or several side by side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.formats.categories import codes_of, is_text, words_of
from fitfleet.data.formats.file import DataFile
from fitfleet.data.formats.options import TableOptions
from fitfleet.data.formats.source import Array, Header, Leaf, Opened, check_header, missing
from fitfleet.data.formats.text import text_array
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError

MAX_COLUMNS = 10_000


class ColumnSource(Opened, ABC):
    """A table. A leaf that is a name is one column, shape (rows,); a tuple is (rows, columns)."""

    is_table = True

    def __init__(self, file: DataFile, limits: Limits, options: TableOptions) -> None:
        self._file = file
        self._options = options
        self._path = path = file.path
        self._max_bytes = limits.table_bytes
        self._columns: dict[str, Array] = {}
        self._names = self._read_names()
        if len(self._names) > MAX_COLUMNS:
            raise DatasetError(
                f"{path}: has {len(self._names):,} columns; at most {MAX_COLUMNS:,} are read, use"
                " HDF5 for wide data"
            )

    @abstractmethod
    def _read_names(self) -> list[str]: ...

    @abstractmethod
    def _read_columns(self, names: list[str]) -> dict[str, Array]: ...

    @abstractmethod
    def _read_text(self, name: str) -> Any:
        """The cells of a column as a pandas Series, missing ones as NaN or None."""

    def names(self) -> list[str]:
        """The columns of the table."""
        return list(self._names)

    def words(self, name: str, *, only_text: bool) -> list[str] | None:
        """The categories of a column; with `only_text` None for one that contains a number."""
        if name not in self._names:
            raise missing(str(self._path), name, self._names)
        if only_text and self._is_number(name):
            return None
        column = self._read_text(name)
        if only_text and not is_text(column):
            return None
        return words_of(self._path, name, column)

    def header(self, leaf: Leaf) -> Header:
        """Shape and dtype; the columns are read and kept, since a table declares neither."""
        columns = self._get(leaf)
        if len({column.dtype.kind == "S" for column in columns}) > 1:
            raise DatasetError(
                f"{self._path}: {list(leaf)} are both texts and numbers; give them as"
                " inputs of their own, x={'text': ..., 'numbers': [...]}"
            )
        dtype = np.result_type(*(column.dtype for column in columns))
        shape: tuple[int, ...] = columns[0].shape
        if not isinstance(leaf, str):
            if any(column.ndim > 1 for column in columns):
                raise DatasetError(
                    f"{self._path}: {list(leaf)} are several columns of lists; give each as an"
                    " input of its own, x={'a': ..., 'b': ...}"
                )
            shape = (*shape, len(columns))
        return check_header(f"{self._path}:{leaf}", Header(shape, dtype), self._max_bytes)

    def blocks(self, leaf: Leaf) -> Iterator[Array]:
        """All rows as one block."""
        self.header(leaf)
        columns = self._get(leaf)
        yield columns[0] if isinstance(leaf, str) else np.stack(columns, axis=1)

    def _is_number(self, name: str) -> bool:
        try:
            self._get(name)
        except DatasetError:  # text, or a column that is refused when it is read
            return False
        return True

    def _get(self, leaf: Leaf) -> list[Array]:
        names = [leaf] if isinstance(leaf, str) else list(leaf)
        if not names:
            raise DatasetError(f"{self._path}: an empty list of columns; name at least one")
        for name in names:
            if name not in self._names:
                raise missing(str(self._path), name, self._names)
        absent = [name for name in dict.fromkeys(names) if name not in self._columns]
        encoded = [name for name in absent if name in self._options.categories]
        for name in encoded:
            words = self._options.categories[name]
            self._columns[name] = codes_of(self._path, name, self._read_text(name), words)
        texts = [name for name in absent if name in self._options.texts]
        for name in texts:
            place = f"{self._path}: column {name!r}"
            self._columns[name] = text_array(place, self._read_text(name))
        plain = [name for name in absent if name not in (*encoded, *texts)]
        if plain:
            self._columns.update(self._read_columns(plain))
        return [self._columns[name] for name in names]


def numbers(path: Path, name: str, column: Any) -> Array:
    """A pandas column as numbers, missing values as NaN. Raises DatasetError for text."""
    if column.dtype.kind in "fiub":
        if getattr(column.dtype, "na_value", None) is not None and column.isna().any():
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        return np.asarray(column.to_numpy())
    present = column.dropna()
    if all(isinstance(value, bool) for value in present):  # true and false with gaps
        return np.asarray(column.astype("float64").to_numpy())
    row, value = _first_text(present)
    raise DatasetError(
        f"{path}: column {name!r} contains {value[:40]!r} in row {row + 1:,} (the header"
        f" not counted),"
        f" not a number{_hint(value)}"
    )


def _first_text(present: Any) -> tuple[int, str]:
    """(row, cell) of the first cell that is no number."""
    for row, value in present.items():
        try:
            # Numbers for Python but not for pandas: 1_000, other digits and spaces.
            is_number = not isinstance(value, str) or (value.isascii() and "_" not in value)
            if not is_number or abs(float(value)) >= 2**64:
                return int(row), str(value)
        except (TypeError, ValueError):
            return int(row), str(value)
    return 0, str(present.iloc[0])


def _is_read_by_python(value: str) -> bool:
    try:
        float(value.replace("\u2212", "-"))
    except ValueError:
        return False
    return True


def _hint(value: str) -> str:
    if not value.isascii() and _is_read_by_python(value):
        return "; write it with the digits 0 to 9, the sign - and plain spaces"
    if value.strip().lstrip("+-").isdecimal():
        return " of 64 bits; scale it first, or name it as a category"
    digits = value.strip().replace(",", "").replace(".", "").lstrip("+-")
    if digits.isdecimal() and "," in value:
        return (
            "; write it without separators and with a decimal point, such as 1234.5, or say what"
            " the comma is: Dataset(path, delimiter=';', decimal=',')"
        )
    return (
        "; name columns of text in Dataset(path, categories=[...]), or in texts=[...] as inputs of"
        " a TextVectorization, words for missing values in missing=[...]"
    )
