"""HDF5 files written straight to a disk that may refuse them: full, over a quota, gone."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


@contextmanager
def created(path: Path) -> Iterator[Any]:
    """A new and open `h5py.File`, whole on the disk (not yet synced) when the block has ended.

    OSError at the end of the block when the disk refused any of it. HDF5's own drivers cannot
    close a file that a disk has refused, and take the process down.
    """
    with path.open("w+b", buffering=0) as disk:
        patient = _ErrorKeepingFile(disk)
        with h5py.File(patient, "w") as file:
            yield file
        patient.end()


class _ErrorKeepingFile:
    """The file object that HDF5 writes to: it never fails, and remembers the first refusal.

    What is written from then on stays in memory, so that HDF5 finds it again and can close.
    """

    def __init__(self, disk: io.FileIO) -> None:
        self.refusal: OSError | None = None
        self._disk = disk
        self._place = 0
        self._kept: list[tuple[int, bytes]] = []  # (offset, bytes), a later one in effect

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """HDF5 moves to an offset, or to the end."""
        self._place = self._size() if whence == os.SEEK_END else offset
        return self._place

    def tell(self) -> int:
        """Where the next call reads or writes."""
        return self._place

    def write(self, data: Any) -> int:
        """All of it, on the disk or in memory."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        if self.refusal is None:
            try:
                while rest:
                    done = os.pwrite(self._disk.fileno(), rest, self._place)
                    self._place, rest = self._place + done, rest[done:]
            except OSError as error:
                self.refusal = error
        if rest:
            self._kept.append((self._place, bytes(rest)))
            self._place += len(rest)
        return size

    def readinto(self, buffer: Any) -> int:
        """What was written there, and zeros where nothing was."""
        wanted = memoryview(buffer).cast("B")
        size, begin = len(wanted), self._place
        content = b""
        try:
            content = os.pread(self._disk.fileno(), size, begin)
        except OSError as error:
            self.refusal = self.refusal or error
        wanted[:] = content.ljust(size, b"\0")
        for offset, data in self._kept:
            first, last = max(begin, offset), min(begin + size, offset + len(data))
            if first < last:
                wanted[first - begin : last - begin] = data[first - offset : last - offset]
        self._place += size
        return size

    def read(self, size: int) -> bytes:
        """As `readinto`, which h5py prefers."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def truncate(self, size: int) -> int:
        """HDF5 sets the length before it closes."""
        if self.refusal is None:
            try:
                os.ftruncate(self._disk.fileno(), size)
            except OSError as error:
                self.refusal = error
        return size

    def flush(self) -> None:
        """Nothing is buffered here."""

    def end(self) -> None:
        """HDF5 has closed. Raises the refusal, if there was one."""
        self._kept.clear()  # the error, which refers to this object, may live on for long
        if self.refusal is not None:
            raise self.refusal

    def _size(self) -> int:
        ends = [offset + len(data) for offset, data in self._kept]
        return max([os.fstat(self._disk.fileno()).st_size, *ends])
