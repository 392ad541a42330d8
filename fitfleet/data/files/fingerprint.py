"""The content of a dataset as a hash, cached by the files' stat so that it is computed once.

A file is hashed in blocks, and each block that is read afterwards is compared with its hash: what
is read under a fingerprint has that content. The hashes are cached in `<cache>/index/`, one JSON
file for each dataset file, written by rename: processes never see a partial file, and none waits.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fitfleet.data.files.location import Location, open_regular
from fitfleet.data.formats import check_start, format_of
from fitfleet.data.formats.file import BLOCK_BYTES, HASH_BYTES, DataFile, hasher
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError

# A file written again within its file system's clock tick may keep size and times. So hashes of a
# file that was changed less than this time before are not cached.
SETTLED_NS = 2 * 10**9


@dataclass(frozen=True)
class Stamp:
    """A file's identity to the file system. ctime tells a rewrite that kept size and mtime."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path | int) -> Stamp:
        """The stamp of a path or an open file now. Raises DatasetError when it is gone."""
        try:
            status = os.stat(path)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
        return cls(
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
        )

    def is_settled(self, now_ns: int) -> bool:
        """Whether a change after `now_ns` cannot leave this stamp as it is."""
        return now_ns - max(self.mtime_ns, self.ctime_ns) > SETTLED_NS


@dataclass(frozen=True)
class Content:
    """The content of the files of a dataset when they were hashed.

    `fingerprint` is the hex blake2b of format and content (with the array names of .npy files).
    `files` are by array name, or the one of `dataset.path` under "".
    """

    fingerprint: str
    files: dict[str, DataFile]

    @property
    def place(self) -> str:
        """The name of the dataset in messages."""
        return str(self.files[""].path) if "" in self.files else "dataset.files"


def read_content(location: Location, cache: Path, limits: Limits) -> Content:
    """Hash the files, or take the hashes from the index.

    Raises DatasetError for a file that cannot be one of its format or is too large, before it is
    read through, and for one that changes meanwhile.
    """
    paths = location.files if location.path is None else {"": location.path}
    files = {name: _read_file(path, cache, limits) for name, path in paths.items()}
    parts = {name: [format_of(file.path), file.digest()] for name, file in files.items()}
    return Content(hasher(json.dumps(parts, sort_keys=True).encode()).hexdigest(), files)


def _read_file(path: Path, cache: Path, limits: Limits) -> DataFile:
    """One file with its hashes; from the index if the file has not changed since."""
    stamp = Stamp.of(path)
    limits.check_file(path, format_of(path), os.stat(path))
    entry = cache / "index" / f"{hasher(os.fsencode(path.absolute())).hexdigest()}.json"
    indexed = read_json(entry)
    if indexed is not None and indexed.get("stamp") == asdict(stamp):
        with contextlib.suppress(TypeError, ValueError, KeyError):
            return DataFile(path, stamp.size, bytes.fromhex(indexed["digests"]))
    started_ns = time.time_ns()
    with open_regular(path) as file:
        if Stamp.of(file.fileno()) != stamp:
            raise _being_written(path)
        check_start(path, file, format_of(path))
        digests = _hash(path, file, stamp.size)
        if Stamp.of(file.fileno()) != stamp or Stamp.of(path) != stamp:
            raise _being_written(path)
    if stamp.is_settled(started_ns):
        write_json(entry, {"path": str(path), "stamp": asdict(stamp), "digests": digests.hex()})
    return DataFile(path, stamp.size, digests)


def _being_written(path: Path) -> DatasetError:
    return DatasetError(f"{path}: is being written; try again when its writer is done")


def _hash(path: Path, file: Any, size: int) -> bytes:
    """The hash of each block of the first `size` bytes, one after the other."""
    digests = bytearray()
    file.seek(0)
    try:
        for start in range(0, size, BLOCK_BYTES):
            digests += hasher(file.read(min(BLOCK_BYTES, size - start))).digest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    assert len(digests) == -(-size // BLOCK_BYTES) * HASH_BYTES
    return bytes(digests)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object of the cache, None when it is absent or unreadable."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write by rename. A cache that cannot be written only costs time, so errors are dropped."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(value))
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
