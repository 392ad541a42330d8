"""The dataset cache of a machine: decoded arrays as `.npy` files, mapped by every process.

`<cache>/arrays/<fingerprint>/<array>.npy`. The folder is the hash of the content, so an entry
cannot be stale. A file appears by rename, complete; readers map it, and a file that is evicted
while it is mapped exists until its last reader ends (POSIX).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.formats.source import Array, Header, Leaf

_STALE_PARTIAL_S = 3600.0


class ArrayCache:
    """Arrays of one dataset, kept under `folder` within `max_bytes` for all datasets together."""

    def __init__(self, folder: Path, max_bytes: int, fingerprint: str) -> None:
        self._root = folder / "arrays"
        self._max_bytes = max_bytes
        self._folder = self._root / fingerprint

    def get(self, leaf: Leaf) -> Array | None:
        """The array, memory-mapped and read-only; None when it is not in the cache."""
        path = self._path(leaf)
        try:
            # A plain ndarray over the map: operations on the subclass memmap are slower.
            array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            os.utime(path)  # evicted last
        except (OSError, ValueError, EOFError):
            return None
        return array

    def fill(
        self,
        leaf: Leaf,
        header: Header,
        blocks: Iterable[Array],
    ) -> Array | None:
        """Store the array block by block and return it mapped; None when it has no room.

        Memory is used for one block. `header.dtype` is the dtype to store; blocks are cast to it.
        If `blocks` raises, nothing is stored.
        """
        nbytes = header.nbytes
        if nbytes > self._max_bytes:
            return None
        path = self._path(leaf)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            self._make_room(nbytes)
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                _write(file, header, blocks)
            os.replace(partial, path)
        except OSError:
            return None  # a full or read-only disk: the caller reads into memory instead
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        return self.get(leaf)

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """One process of the machine at a time decodes this dataset; the others wait here.

        Where file locks do not work none waits: arrays are then decoded twice, with equal results.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, ImportError):
                import fcntl

                self._root.mkdir(parents=True, exist_ok=True)
                lock = (self._root / f"{self._folder.name}.lock").open("w")
                stack.enter_context(lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _path(self, leaf: Leaf) -> Path:
        name = hashlib.blake2b(json.dumps(leaf).encode(), digest_size=16).hexdigest()
        return self._folder / f"{name}.npy"

    def _make_room(self, nbytes: int) -> None:
        """Evict the least recently used files until `nbytes` fit."""
        entries = sorted(_entries(self._root), key=lambda entry: entry[0])
        used = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if used + nbytes <= self._max_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                used -= size
                path.parent.rmdir()  # only when it is empty


def _entries(root: Path) -> Iterator[tuple[float, int, Path]]:
    """(last use, bytes, path) of every file. Partial files of killed writers count as oldest."""
    now = time.time()
    for path in root.glob("*/*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            is_partial = path.suffix == ".tmp"
            if is_partial and now - status.st_mtime < _STALE_PARTIAL_S:
                continue
            yield 0.0 if is_partial else status.st_mtime, status.st_size, path


def _write(file: Any, header: Header, blocks: Iterable[Array]) -> None:
    descr = np.lib.format.dtype_to_descr(header.dtype)
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": header.shape}
    )
    for block in blocks:
        # float64 beyond float32 is infinite, which was warned of; a signalling NaN is a NaN.
        with np.errstate(over="ignore", invalid="ignore"):
            converted = np.ascontiguousarray(block, header.dtype)
        file.write(converted.data.cast("B") if converted.size else b"")
