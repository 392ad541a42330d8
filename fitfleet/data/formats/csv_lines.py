"""Whether every line of a CSV file has the fields that its header names.

pandas fills short lines with NaN, cuts long ones or shifts every column to make an index of the
first; so the fields of each line are counted first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from fitfleet.errors import DatasetError

_BLOCK_BYTES = 8 * 2**20
_HEADER_BYTES = 4 * 2**20
# A field longer than this is no number, name or category; csv's own limit is as large.
_FIELD_BYTES = 2**17
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True)
class CsvHeader:
    """The names of the columns, and at which byte of the file the rows begin."""

    names: list[str]
    offset: int
    lines: int


def read_header(place: str, file: IO[bytes], delimiter: str) -> CsvHeader:
    """The first line that is not empty. Raises DatasetError for one that names no columns."""
    lines = 0
    text = ""
    while not text.strip():
        line = file.readline(_HEADER_BYTES)
        if not line:
            raise DatasetError(f"{place}: is empty; its first line should name the columns")
        lines += 1
        text = decode(place, line.removeprefix(b"\xef\xbb\xbf") if lines == 1 else line, lines)
    if len(line) == _HEADER_BYTES or text.count('"') % 2:
        raise DatasetError(
            f"{place}: line {lines}: the header does not end; its names should be on one line,"
            ' with a closing quote (") for each opening one'
        )
    if "\r" in text.rstrip("\r\n"):
        raise DatasetError(
            f"{place}: its lines end with CR alone, as on old Macs; save it with LF or CRLF"
        )
    names = next(csv.reader([text.strip("\r\n")], delimiter=delimiter, skipinitialspace=True))
    return CsvHeader(_checked_names(place, names, text, delimiter), file.tell(), lines)


def decode(place: str, data: bytes, line: int) -> str:
    """UTF-8 text of a line. Raises DatasetError."""
    if b"\0" in data:
        raise DatasetError(
            f"{place}: line {line}: contains a zero byte, so it is not UTF-8 text; save the file as"
            " CSV in UTF-8"
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{place}: line {line}: the byte {data[error.start]:#x} is not UTF-8; save the file"
            " as CSV in UTF-8"
        ) from None


def _checked_names(place: str, names: list[str], text: str, delimiter: str) -> list[str]:
    other = max((candidate for candidate in _DELIMITERS if candidate != delimiter), key=text.count)
    if len(names) == 1 and text.count(other):
        raise DatasetError(
            f"{place}: its first line has no {_DELIMITERS.get(delimiter, delimiter)} but"
            f" {text.count(other)} {_DELIMITERS[other]}s; name the delimiter of the columns:"
            f" Dataset(path, delimiter={other!r})"
        )
    if all(_is_number(name) for name in names):
        raise DatasetError(
            f"{place}: its first line contains numbers ({', '.join(names)[:40]}), not the names of"
            " the columns; put a line of names first"
        )
    return [name.strip() or f"Unnamed: {index}" for index, name in enumerate(names)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_lines(place: str, file: IO[bytes], header: CsvHeader, delimiter: str) -> int:
    """The number of rows after the header; empty lines are none.

    Raises DatasetError with the number of the first line that has more or fewer fields than the
    header, for a quote that is never closed, and for an empty line in a file of one column (it may
    be a missing value or no row).
    """
    file.seek(header.offset)
    checker = _LineChecker(place, header, delimiter)
    for block, is_plain in _blocks(file):
        if not is_plain:
            return checker.count_quoted(block, file)
        checker.count_plain(block)
    return checker.rows


def _blocks(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Blocks of complete lines, and whether their fields are simply split by the delimiter."""
    rest = b""
    while True:
        data = file.read(_BLOCK_BYTES)
        block, end, rest = (rest + data).rpartition(b"\n") if data else (rest, b"", b"")
        block += end
        if len(rest) > _BLOCK_BYTES:  # one line longer than a block
            block, rest = block + rest, b""
            yield block, False
            return
        if block:
            is_plain = b'"' not in block and block.count(b"\r") == block.count(b"\r\n")
            yield (block, True) if is_plain else (block + rest, False)
            if not is_plain:
                return
        if not data:
            return


class _LineChecker:
    """Counts rows, and compares the number of fields of each line with that of the header."""

    def __init__(self, place: str, header: CsvHeader, delimiter: str) -> None:
        self._place = place
        self._wanted = len(header.names)
        self._delimiter = delimiter
        self._line = header.lines  # lines before what comes next
        self.rows = 0

    def count_plain(self, block: bytes) -> None:
        """Lines without quotes, by NumPy."""
        if not block.endswith(b"\n"):
            block += b"\n"
        data = np.frombuffer(block.replace(b"\r\n", b"\n"), np.uint8)
        if not data.all() or not block.isascii():
            self._check_text(block)
        ends = np.flatnonzero(data == ord("\n"))
        before = np.searchsorted(np.flatnonzero(data == ord(self._delimiter)), ends)
        fields = np.diff(before, prepend=0) + 1
        is_empty = np.diff(ends, prepend=-1) == 1
        if is_empty.any():
            fields[is_empty] = self._wanted if self._wanted > 1 else 0
        wrong = np.flatnonzero(fields != self._wanted)
        if len(wrong):
            self._refuse(self._line + int(wrong[0]) + 1, int(fields[wrong[0]]))
        self._line += len(ends)
        self.rows += len(ends) - int(is_empty.sum())

    def count_quoted(self, block: bytes, file: IO[bytes]) -> int:
        """The rest of the file, by the csv module: quotes may hold delimiters and line ends."""
        start = self._line
        raw = _Chained(block, file)
        text = io.TextIOWrapper(io.BufferedReader(raw, _BLOCK_BYTES), encoding="utf-8", newline="")
        reader = csv.reader(text, delimiter=self._delimiter, strict=True)
        began = start
        try:
            for row in reader:
                if row or self._wanted == 1:
                    self._check_row(row, began + 1)
                began = start + reader.line_num
        except (csv.Error, UnicodeDecodeError) as error:
            raise DatasetError(
                f"{self._place}: the record that begins in line {began + 1} cannot be read:"
                f" {_reason(error)}"
            ) from None
        return self.rows

    def _check_row(self, row: list[str], line: int) -> None:
        if len(row) != self._wanted:
            self._refuse(line, len(row))
        if "\0" in self._delimiter.join(row):
            decode(self._place, b"\0", line)
        self.rows += 1

    def _check_text(self, block: bytes) -> None:
        for number, line in enumerate(block.splitlines()):
            decode(self._place, line, self._line + number + 1)

    def _refuse(self, line: int, fields: int) -> None:
        if not fields:
            raise DatasetError(
                f"{self._place}: line {line}: is empty; write NaN where a value is missing, and"
                " leave out lines that are none"
            )
        names = "1 column" if self._wanted == 1 else f"{self._wanted} columns"
        raise DatasetError(
            f"{self._place}: line {line}: has {fields} field{'s' * (fields != 1)}, but the header"
            f" names {names}; correct the line, or put fields that hold a delimiter in quotes"
        )


class _Chained(io.RawIOBase):
    """Some bytes, then the rest of a file."""

    def __init__(self, first: bytes, file: IO[bytes]) -> None:
        self._first = memoryview(first)
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._first:
            part = self._first[: len(buffer)]
            self._first = self._first[len(part) :]
        else:
            part = memoryview(self._file.read(len(buffer)))
        buffer[: len(part)] = part
        return len(part)


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8; save the file as CSV in UTF-8"
    if "unexpected end of data" in text:
        return 'a quote (") is opened and never closed'
    if "expected after" in text:
        return 'more text follows a closing quote ("); double a quote that belongs to the text'
    if "larger than field limit" in text:
        return f"a field is longer than {_FIELD_BYTES:,} characters, or its quote is never closed"
    return text
