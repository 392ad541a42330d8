"""The content of a dataset as a hash, remembered by the files' stat so that it is read once.

What is known of a file lies in `<cache>/index/`, one JSON file a dataset file, written by rename:
readers and writers in any number of processes never meet half a file, and none waits.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fitfleet.data.location import Location
from fitfleet.errors import DatasetError

# A file written again within its file system's clock tick may keep size and times. So what was
# hashed within this time after its last change is not remembered.
SETTLED_NS = 2 * 10**9
HASH_BYTES = 32


@dataclass(frozen=True)
class Stamp:
    """A file's identity to the file system. ctime betrays a rewrite that kept size and mtime."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of the file now. Raises DatasetError when it is gone."""
        try:
            found = path.stat()
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)

    def is_settled(self, now_ns: int) -> bool:
        """Whether a change after `now_ns` cannot leave this stamp as it is."""
        return now_ns - max(self.mtime_ns, self.ctime_ns) > SETTLED_NS


def fingerprint(location: Location, cache: Path) -> str:
    """Hex blake2b over what the files of a dataset hold (with the array names of .npy files).

    Raises DatasetError when a file cannot be read or changes meanwhile.
    """
    if location.path is not None:
        return file_fingerprint(location.path, cache)
    parts = {name: file_fingerprint(path, cache) for name, path in location.files.items()}
    return str(_hasher(json.dumps(parts, sort_keys=True).encode()).hexdigest())


def file_fingerprint(path: Path, cache: Path) -> str:
    """The hash of one file; from the index when the file has not changed since."""
    stamp = Stamp.of(path)
    entry = cache / "index" / f"{_hasher(os.fsencode(path.absolute())).hexdigest()}.json"
    known = read_json(entry)
    if known is not None and known.get("stamp") == asdict(stamp):
        return str(known["fingerprint"])
    started_ns = time.time_ns()
    digest = _hash(path)
    if Stamp.of(path) != stamp:
        raise DatasetError(f"{path}: is being written; try again when its writer is done")
    if stamp.is_settled(started_ns):
        write_json(entry, {"path": str(path), "stamp": asdict(stamp), "fingerprint": digest})
    return digest


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object of the cache, None when it is absent or unreadable."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


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


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, _hasher).hexdigest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None


def _hasher(data: bytes = b"") -> Any:
    return hashlib.blake2b(data, digest_size=HASH_BYTES)
