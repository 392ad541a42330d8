"""Reading the whole of an HDF5 file that is no dataset: weights, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

from fitfleet.data.formats.hdf5 import (
    MAX_CHUNK_BYTES,
    MAX_DEPTH,
    check_storage,
    link_words,
    open_file,
    reason,
)
from fitfleet.data.formats.source import BLOCK_BYTES, MAX_NAMES, check_expansion
from fitfleet.errors import DatasetError

_MAX_DEPTH = 4 * MAX_DEPTH
_MAX_OBJECTS = 10 * MAX_NAMES


def walk(path: Path, max_bytes: int, on_object: Callable[[], None]) -> int:
    """Open every object by its hard links, and read every array and attribute through.

    Returns the bytes of the arrays. Raises DatasetError for a link out of the group it is in,
    external or virtual storage, a foreign filter, more than `max_bytes`, and whatever cannot be
    read.
    """
    with open_file(path) as file:
        walker = _Walker(path, max_bytes, file.id.get_filesize(), on_object)
        try:
            walker.group(file, "", 0)
        except (KeyError, OSError, ValueError, RuntimeError, TypeError) as error:
            raise DatasetError(f"{path}: cannot be read: {reason(error)}") from None
    return walker.nbytes


class _Walker:
    def __init__(
        self, path: Path, max_bytes: int, file_bytes: int, on_object: Callable[[], None]
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file_bytes = file_bytes
        self._on_object = on_object
        self._objects = 0
        self._seen: set[int] = set()
        self.nbytes = 0

    def group(self, group: Any, prefix: str, depth: int) -> None:
        """All that a group holds."""
        import h5py

        self._attributes(group)
        for key in group:
            self._count(depth)
            name = f"{prefix}/{key}"
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise DatasetError(f"{self._path}:{name}: is {link_words(link)}, which is refused")
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in self._seen:
                continue
            self._seen.add(address)
            if isinstance(item, h5py.Group):
                self.group(item, name, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._array(item, name)

    def _count(self, depth: int) -> None:
        self._on_object()
        self._objects += 1
        if self._objects > _MAX_OBJECTS or depth > _MAX_DEPTH:
            raise DatasetError(
                f"{self._path}: contains more than {_MAX_OBJECTS:,} objects, or groups deeper than"
                f" {_MAX_DEPTH}; it is not a file of weights"
            )

    def _attributes(self, item: Any) -> None:
        for key in item.attrs:
            self._count(0)
            value = item.attrs[key]
            self._add(getattr(value, "nbytes", 0), f"{item.name}@{key}")

    def _array(self, dataset: Any, name: str) -> None:
        place = f"{self._path}:{name}"
        self._attributes(dataset)
        if dataset.shape is None:
            return
        check_storage(place, dataset)
        nbytes = prod(dataset.shape) * max(1, dataset.dtype.itemsize)
        self._add(nbytes, name)
        check_expansion(place, nbytes, min(dataset.id.get_storage_size(), self._file_bytes))
        if dataset.chunks and prod(dataset.chunks) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
            raise DatasetError(
                f"{place}: has chunks above {MAX_CHUNK_BYTES:,} bytes; write it with smaller ones"
            )
        self._read(dataset, nbytes)

    def _add(self, nbytes: int, name: str) -> None:
        self.nbytes += nbytes
        if self.nbytes > self._max_bytes:
            raise DatasetError(
                f"{self._path}:{name}: brings the file's arrays to {self.nbytes:,} bytes, above"
                f" {self._max_bytes:,}"
            )

    def _read(self, dataset: Any, nbytes: int) -> None:
        if not dataset.shape or not prod(dataset.shape):
            dataset[()]
            return
        row_bytes = max(1, nbytes // dataset.shape[0])
        step = max(1, BLOCK_BYTES // row_bytes)
        if dataset.chunks:
            step = max(dataset.chunks[0], step // dataset.chunks[0] * dataset.chunks[0])
        for start in range(0, dataset.shape[0], step):
            dataset[start : start + step]
            self._on_object()
