"""The fingerprint of a dataset: a hash of what its files hold, not of where they lie."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from pathlib import Path

from fitfleet.data.location import Location
from fitfleet.errors import DatasetError

_BLOCK_BYTES = 1 << 20
# A file may be rewritten within the clock's grain without its mtime changing.
_YOUNG_S = 2.0
_KNOWN_MOST = 1_000

Stamp = tuple[str, int, int, int]
_known: OrderedDict[Stamp, str] = OrderedDict()


def stamp(path: Path) -> Stamp:
    """What changes when a file is written: path, size, mtime in ns, inode."""
    found = path.stat()
    return (str(path), found.st_size, found.st_mtime_ns, found.st_ino)


def is_young(path: Path) -> bool:
    """Whether the file is so new that its stamp says nothing yet."""
    return time.time() - path.stat().st_mtime < _YOUNG_S


def fingerprint(location: Location) -> str:
    """Hex SHA-256 over the files' bytes (and the array names of .npy files)."""
    whole = hashlib.sha256()
    for path in location.all():
        whole.update(_file(path).encode())
    for name in sorted(location.files):
        whole.update(name.encode() + b"\0")
    return whole.hexdigest()


def _file(path: Path) -> str:
    key = stamp(path)
    if key in _known and not is_young(path):
        _known.move_to_end(key)
        return _known[key]
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise DatasetError(
            f"dataset.path: {str(path)!r} cannot be read: {error.strerror}"
        ) from None
    _known[key] = digest.hexdigest()
    while len(_known) > _KNOWN_MOST:
        _known.popitem(last=False)
    return _known[key]
