"""A file of a dataset, of which only content with the expected hash is read."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitfleet.errors import DatasetError

BLOCK_BYTES = 2**20
HASH_BYTES = 32
_KEPT_BLOCKS = 64


def hasher(data: bytes = b"") -> Any:
    """A blake2b of HASH_BYTES."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES)


@dataclass(frozen=True)
class DataFile:
    """A path, and the hash of each block that its content must have."""

    path: Path
    size: int
    digests: bytes = field(repr=False)

    def digest(self) -> str:
        """Hex hash of the whole content."""
        return str(hasher(self.size.to_bytes(8, "big") + self.digests).hexdigest())

    def open(self) -> io.BufferedReader:
        """The content from its start. Reading raises DatasetError where it has changed."""
        try:
            return io.BufferedReader(_HashedReader(self), BLOCK_BYTES)
        except OSError as error:
            raise DatasetError(f"{self.path}: cannot be read: {error.strerror}") from None


class _HashedReader(io.RawIOBase):
    """Reads whole blocks, and raises DatasetError for one whose hash is not the expected one."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._raw = file.path.open("rb", buffering=0)
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        index, offset = divmod(self._position, BLOCK_BYTES)
        if not view or self._position >= self._file.size:
            return 0
        part = self._block(index)[offset : offset + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def close(self) -> None:
        self._blocks.clear()
        self._raw.close()
        super().close()

    def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        start = index * BLOCK_BYTES
        wanted = min(BLOCK_BYTES, self._file.size - start)
        block = self._read(start, wanted)
        expected = self._file.digests[index * HASH_BYTES : (index + 1) * HASH_BYTES]
        if len(block) != wanted or hasher(block).digest() != expected:
            raise DatasetError(
                f"{self._file.path}: has changed while it was read; submit the job again when its"
                " writer is done"
            )
        self._blocks[index] = block
        while len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return block

    def _read(self, start: int, wanted: int) -> bytes:
        try:
            self._raw.seek(start)
            parts = []
            while wanted > 0 and (part := self._raw.read(wanted)):
                parts.append(part)
                wanted -= len(part)
        except OSError as error:
            raise DatasetError(f"{self._file.path}: cannot be read: {error.strerror}") from None
        return b"".join(parts)
