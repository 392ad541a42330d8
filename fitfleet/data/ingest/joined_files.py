"""Several files as one dataset: read one after the other, their rows joined in the storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fitfleet.data.arrays import load
from fitfleet.data.description.description import ROLES, describe
from fitfleet.data.formats.source import Array
from fitfleet.data.info import DatasetInfo, flatten, map_structure
from fitfleet.data.ingest.stored_arrays import written
from fitfleet.data.rows.rows import Arrays
from fitfleet.data.rows.streams import Stream
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.spec.datasets.files import Files
from fitfleet.spec.job import DatasetSpec, Windows

SERIES = "series"
_OF_ALL = ("windows", "fold", "nan")  # they say something of the whole


def of_files(
    files: Files, settings: Settings, on_progress: Callable[[str], None] | None = None
) -> DatasetSpec:
    """The dataset of all rows, file after file. With `windows` each file is a series of its own.

    Columns of text have the words of all files. Raises DatasetError for a file that is not
    visible here, for arrays of other shapes than in the first file, and above memory_bytes.
    """
    of_each = {name: part for name, part in files.fields.items() if name not in _OF_ALL}
    specs = [dataset_spec({**of_each, "path": path}) for path in files.paths]
    infos = _with_one_vocabulary([_described(spec, settings) for spec in specs], settings)
    _check_bytes(infos, settings)
    parts = []
    for number, info in enumerate(infos):
        parts.append(_whole(load(info.dataset, settings, info.fingerprint, floatx="float64")))
        if on_progress is not None:
            on_progress(f"{number + 1:,} of {len(infos):,} files read")
    fields = _joined(files.paths, parts)
    of_all = {name: part for name, part in files.fields.items() if name in _OF_ALL}
    size, beside = of_all.get("windows"), {}
    size = size.model_dump() if isinstance(size, Windows) else size
    if isinstance(size, dict) and not size.get(SERIES):
        beside[SERIES] = np.repeat(np.arange(len(parts)), [part.rows for part in parts])
        of_all["windows"] = {**size, SERIES: SERIES}
    given = {name: part for name, part in fields.items() if part is not None}
    dataset = written(given, settings, beside)
    roles = dataset.model_dump(include={"path", *ROLES, "groups"})
    categories = infos[0].dataset.categories
    return dataset_spec({**roles, "categories": categories, **of_all})


def _described(spec: DatasetSpec, settings: Settings) -> DatasetInfo:
    info = describe(spec, settings)
    if info is None:
        raise DatasetError(
            f"dataset.path: {spec.path!r} cannot be found on this machine, and several files are"
            " joined where the job is submitted; submit from a machine that has them"
        )
    return info


def _with_one_vocabulary(infos: list[DatasetInfo], settings: Settings) -> list[DatasetInfo]:
    """The same files, read with the words of all of them: a code means one word everywhere."""
    all_words: dict[str, set[str]] = {}
    for info in infos:
        categories = info.dataset.categories
        for name, words in categories.items() if isinstance(categories, dict) else ():
            all_words.setdefault(name, set()).update(words)
    if all(info.dataset.categories == infos[0].dataset.categories for info in infos):
        return infos
    vocabulary = {
        name: [*sorted(words - {""}), *(words & {""})] for name, words in sorted(all_words.items())
    }
    specs = [info.dataset.model_copy(update={"categories": vocabulary}) for info in infos]
    return [_described(spec, settings) for spec in specs]


def _check_bytes(infos: Sequence[DatasetInfo], settings: Settings) -> None:
    nbytes = sum(
        int(np.prod(array.shape, dtype=np.float64)) * np.dtype(array.dtype).itemsize
        for info in infos
        for array in info.arrays.values()
    )
    if nbytes > settings.memory_bytes:
        raise DatasetError(
            f"dataset.path: the {len(infos):,} files hold {nbytes:,} bytes together, above the"
            f" setting memory_bytes={settings.memory_bytes:,}; raise it, or join them in one HDF5"
            " file, which streams"
        )


def _whole(arrays: Arrays) -> Arrays:
    """Streams read to their ends."""

    def read(array: Any) -> Any:
        return array.take(np.arange(len(array))) if isinstance(array, Stream) else array

    roles = {role: map_structure(getattr(arrays, role), read) for role in ROLES}
    return Arrays(**roles, groups=arrays.groups, fingerprint=arrays.fingerprint)


def _joined(paths: Sequence[str], parts: Sequence[Arrays]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for role in (*ROLES, "groups"):
        structures = [getattr(part, role) for part in parts]
        leaves = [flatten(structure) for structure in structures]
        for path, file_leaves in zip(paths, leaves, strict=True):
            shapes, wanted = [a.shape[1:] for a in file_leaves], [a.shape[1:] for a in leaves[0]]
            if shapes != wanted:
                raise DatasetError(
                    f"{path}: its {role} has rows of {shapes or 'nothing'}, the first file's of"
                    f" {wanted or 'nothing'}; all files need the same arrays"
                )
        columns = [np.concatenate(column) for column in zip(*leaves, strict=True)]
        joined[role] = map_structure(structures[0], _Each(columns))
    return joined


class _Each:
    """Gives one array after the other, whatever it is asked for."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        self._arrays = iter(arrays)

    def __call__(self, _: Any) -> Array:
        return next(self._arrays)
