"""NumPy's .npz archives, without pickles and decompression bombs."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fitfleet.data.formats.file import DataFile
from fitfleet.data.formats.npy import read_blocks, read_header
from fitfleet.data.formats.source import (
    MAX_NAMES,
    Array,
    Header,
    Leaf,
    Opened,
    check_expansion,
    missing,
)
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError
from fitfleet.text import first_line

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    IndexError,
    OverflowError,
)


class NpzSource(Opened):
    """The members of an .npz archive; `x` is the member `x.npy`."""

    is_table = False

    def __init__(self, file: DataFile, limits: Limits) -> None:
        self._path = path = file.path
        self._limits = limits
        self._size_bytes = file.size
        self._file = file.open()
        try:
            self._zip = zipfile.ZipFile(self._file)
        except _BROKEN as error:
            raise DatasetError(f"{path}: not a readable .npz file: {_reason(error)}") from None
        self._members = _members(path, self._zip)

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()
        self._file.close()

    def names(self) -> list[str]:
        """The arrays of the archive."""
        return list(self._members)

    def header(self, leaf: Leaf) -> Header:
        """Shape and dtype, checked against the member's size and its compressed size."""
        with self._open(leaf) as (header, _, _):
            return header

    def blocks(self, leaf: Leaf) -> Iterator[Array]:
        """Rows in blocks, decompressed as they are read."""
        with self._open(leaf) as (header, is_fortran, file):
            yield from read_blocks(f"{self._path}:{leaf}", file, header, is_fortran)

    @contextmanager
    def _open(self, leaf: Leaf) -> Iterator[tuple[Header, bool, IO[bytes]]]:
        if not isinstance(leaf, str) or leaf not in self._members:
            raise missing(str(self._path), str(leaf), self.names())
        member = self._members[leaf]
        place = f"{self._path}:{leaf}"
        _check_member(place, member, self._size_bytes)
        try:
            with self._zip.open(member) as file:
                header, is_fortran = read_header(place, file, member.file_size, self._limits)
                yield header, is_fortran, file
        except _BROKEN as error:
            raise DatasetError(f"{place}: cannot be decompressed: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return first_line(error, 120)


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    entries = archive.infolist()
    if len(entries) > MAX_NAMES:
        raise DatasetError(
            f"{path}: contains {len(entries):,} members; at most {MAX_NAMES:,} are read"
        )
    for entry in entries:
        name = entry.filename.removesuffix(".npy")
        is_plain = entry.filename.endswith(".npy") and name and not name.startswith("/")
        if not is_plain or "\\" in name or ".." in name.split("/"):
            raise DatasetError(
                f"{path}: has a member named {entry.filename!r}, which numpy.savez does not write;"
                " save it again with numpy.savez"
            )
        if name in members:
            raise DatasetError(f"{path}: has two members named {name!r}; save it again")
        members[name] = entry
    return members


def _check_member(place: str, member: zipfile.ZipInfo, archive_bytes: int) -> None:
    if member.flag_bits & 0x1:
        raise DatasetError(f"{place}: is encrypted; save it again with numpy.savez")
    if member.compress_type not in _METHODS:
        raise DatasetError(f"{place}: uses a foreign compression; save it with numpy.savez")
    # The archive may declare a compressed size above the file's size.
    check_expansion(place, member.file_size, min(member.compress_size, archive_bytes))
