"""Loading a dataset: from the machine's cache, from its file, or as streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.description.categories import options_of
from fitfleet.data.description.description import INPUTS, ROLES, describe, role_leaves
from fitfleet.data.files.cache import ArrayCache
from fitfleet.data.files.fingerprint import Stamp, read_content
from fitfleet.data.files.location import locate
from fitfleet.data.formats import Array, DataFile, Leaf, Source, format_of, open_source
from fitfleet.data.formats.file import hasher
from fitfleet.data.formats.source import Header, loaded_dtype
from fitfleet.data.info import DatasetInfo, map_role, map_structure
from fitfleet.data.limits import Limits
from fitfleet.data.rows import windows
from fitfleet.data.rows.folds import split_fold
from fitfleet.data.rows.rows import Arrays, split_validation, take
from fitfleet.data.rows.streams import Stream, StreamFile
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec, Floatx, Windows

__all__ = ["Arrays", "Stream", "load", "split_fold", "split_validation", "take"]


def load(
    dataset: DatasetSpec,
    settings: Settings,
    expected: str | None = None,
    *,
    floatx: Floatx = "float32",
) -> Arrays:
    """The arrays of the dataset, windows and fold applied; validation_split is not.

    Decoded arrays are put into the machine's cache the first time and mapped from there by every
    process. HDF5 arrays are streamed when together they are larger than settings.memory_bytes.
    float64 becomes `floatx`, as Keras casts it; other dtypes stay. `expected` is the
    fingerprint at submit. Raises DatasetError when the content has changed since, for all that
    `describe` refuses, and for files that are not on this machine.
    """
    if dataset.function is not None:
        raise DatasetError(
            f"dataset: {dataset.function.path} is called by workers; call it yourself, and give the"
            " arrays, (x, y)"
        )
    info = describe(dataset, settings)
    if info is None:
        raise DatasetError(
            f"dataset.path: {_shown(dataset)!r} cannot be found on this machine; its data_root is"
            f" {settings.data_root!r}: mount the data there, or set data_root"
        )
    if expected is not None and expected != info.fingerprint:
        raise DatasetError(
            f"dataset.path: the content of {_shown(dataset)!r} is not what it was at submit"
            f" ({expected[:12]} then, {info.fingerprint[:12]} now); submit the job again"
        )
    arrays = _in_roles(info, _Reader(info, settings, floatx).read(), settings.memory_bytes)
    return split_fold(arrays, dataset.fold) if dataset.fold else arrays


def _shown(dataset: DatasetSpec) -> str:
    return dataset.path or ", ".join(dataset.files.values())


class _Reader:
    """Reads the arrays of a dataset: from the cache, its file, or as streams if memory is small."""

    def __init__(self, info: DatasetInfo, settings: Settings, floatx: Floatx) -> None:
        location = locate(info.dataset, settings)
        if location is None:
            raise DatasetError(f"dataset.path: {_shown(info.dataset)!r} no longer exists")
        self._limits = Limits.of(settings)
        content = read_content(location, Path(settings.cache), self._limits)
        if content.fingerprint != info.fingerprint:
            raise _changed(content.place)
        self._content = content
        self._place = content.place
        self._info = info
        self._settings = settings
        self._floatx = floatx
        self._options = options_of(info.dataset)
        self._cache = ArrayCache(Path(settings.cache), settings.cache_bytes, self._key())
        self._leaves = role_leaves(info.dataset, info.is_table)

    def _key(self) -> str:
        """The key of the decoded arrays in the cache: of the content, table options and floatx."""
        options = self._options.key() + ("" if self._floatx == "float32" else self._floatx)
        if not options:
            return self._info.fingerprint
        return str(hasher(f"{self._info.fingerprint} {options}".encode()).hexdigest())

    def read(self) -> dict[Leaf, Array | Stream]:
        """Every array by its leaf."""
        file = self._content.files.get("")
        is_hdf5 = file is not None and format_of(file.path) == "hdf5"
        if file is not None and is_hdf5 and self._nbytes() > self._settings.memory_bytes:
            return self._streams(file)
        arrays = self._cached()
        if len(arrays) < len(self._leaves):
            with self._cache.filling():
                arrays = self._decode(self._cached())
        return dict(arrays)

    def _nbytes(self) -> int:
        infos = self._info.arrays.values()
        return sum(
            Header(info.shape, loaded_dtype(np.dtype(info.dtype), self._floatx)).nbytes
            for info in infos
        )

    def _cached(self) -> dict[Leaf, Array]:
        cached = ((leaf, self._cache.get(leaf)) for leaf in self._leaves)
        return {leaf: array for leaf, array in cached if array is not None}

    def _decode(self, arrays: dict[Leaf, Array]) -> dict[Leaf, Array]:
        """`arrays`, with those that it lacks decoded from the file."""
        absent = [leaf for leaf in self._leaves if leaf not in arrays]
        if not absent:
            return arrays
        with open_source(self._content.files, self._limits, self._options) as source:
            for leaf in absent:
                header = self._header(source, leaf)
                array = self._cache.fill(leaf, header, source.blocks(leaf))
                arrays[leaf] = self._in_memory(source, leaf) if array is None else array
        return arrays

    def _header(self, source: Source, leaf: Leaf) -> Header:
        """Shape and dtype of the array in memory."""
        header = source.header(leaf)
        return Header(header.shape, loaded_dtype(header.dtype, self._floatx))

    def _in_memory(self, source: Source, leaf: Leaf) -> Array:
        header = self._header(source, leaf)
        if header.nbytes > self._settings.memory_bytes:
            raise DatasetError(
                f"{self._place}:{leaf}: is {header.nbytes:,} bytes, above memory_bytes="
                f"{self._settings.memory_bytes:,}, and the cache has no room for it (cache_bytes="
                f"{self._settings.cache_bytes:,}); store it as HDF5, which is streamed"
            )
        array = np.empty(header.shape, header.dtype)
        start = 0
        with np.errstate(over="ignore", invalid="ignore"):  # as in cache.py
            for block in source.blocks(leaf):
                array[start : start + len(block)] = block
                start += len(block)
        array.flags.writeable = False
        return array

    def _streams(self, file: DataFile) -> dict[Leaf, Array | Stream]:
        path = file.path
        stamp = Stamp.of(path)
        streams: dict[Leaf, Array | Stream] = {}
        with open_source({"": file}, self._limits) as source:
            for leaf in self._leaves:
                header = source.header(leaf)
                cap = self._settings.max_dataset_bytes
                array = StreamFile(
                    path, str(leaf), stamp, cap, header.shape, header.dtype, self._floatx
                )
                streams[leaf] = Stream(array, range(header.shape[0]))
        if Stamp.of(path) != stamp:
            raise _changed(self._place)
        return streams


def _changed(place: str) -> DatasetError:
    return DatasetError(
        f"{place}: has changed while it was read; submit the job again when its writer is done"
    )


def _in_roles(info: DatasetInfo, arrays: dict[Leaf, Array | Stream], memory_bytes: int) -> Arrays:
    """The arrays in their roles, cut into windows if the dataset has them."""
    dataset = info.dataset
    roles: dict[str, Any] = {}
    for role in (*ROLES, "groups"):
        structure = map_role(getattr(dataset, role), info.is_table, arrays.__getitem__)
        if dataset.windows is not None:
            ids = None if not dataset.windows.series else arrays[dataset.windows.series]
            cutter = _Cutter(dataset.windows, ids, memory_bytes)
            structure = map_structure(
                structure, cutter.inputs if role in INPUTS else cutter.targets
            )
        roles[role] = structure
    groups = roles["groups"]
    if isinstance(groups, Stream):  # scikit-learn takes no streams
        roles["groups"] = groups.take(np.arange(len(groups)))
    return Arrays(**roles, fingerprint=info.fingerprint)


class _Cutter:
    """Cuts series into windows, none of which spans two series."""

    def __init__(self, size: Windows, ids: Array | Stream | None, memory_bytes: int) -> None:
        self._size = size
        self._memory_bytes = memory_bytes
        self._lengths: list[int] | None = None
        if ids is not None:
            blocks = ids.blocks() if isinstance(ids, Stream) else [ids]
            self._lengths = windows.run_lengths(blocks)

    def inputs(self, array: Any) -> Array | Stream:
        """Shape (n, length, ...)."""
        lengths = self._lengths or [len(array)]
        if isinstance(array, Stream):
            return array.windowed(self._size, lengths)
        if self._lengths is not None:
            self._check_bytes(array, lengths)
        return windows.inputs(array, self._size, lengths)

    def targets(self, array: Any) -> Array | Stream:
        """Shape (n, ...)."""
        lengths = self._lengths or [len(array)]
        if isinstance(array, Stream):
            return array.targets(self._size, lengths)
        return windows.targets(array, self._size, lengths)

    def _check_bytes(self, array: Array, lengths: list[int]) -> None:
        row_bytes = array.nbytes // max(1, len(array))
        nbytes = windows.total(lengths, self._size) * self._size.length * row_bytes
        if nbytes > self._memory_bytes:
            raise DatasetError(
                f"dataset.windows: the windows of many series are {nbytes:,} bytes, above the"
                f" setting memory_bytes={self._memory_bytes:,}; raise it, or a larger stride"
            )
