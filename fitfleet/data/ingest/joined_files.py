"""Several files as one dataset: read one after the other, their rows joined in the storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fitfleet.data.arrays import load
from fitfleet.data.description.description import ROLES, describe
from fitfleet.data.info import DatasetInfo, flatten, map_structure, with_leaves
from fitfleet.data.ingest.stored_arrays import written
from fitfleet.data.rows.rows import Arrays
from fitfleet.data.rows.streams import Stream
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.spec.datasets.files import Files
from fitfleet.spec.job import DatasetSpec, Windows

SERIES = "series"
_OF_JOINED = ("windows", "fold", "nan")  # options of the joined rows, not of a file


def of_files(
    files: Files, settings: Settings, on_progress: Callable[[str], None] | None = None
) -> DatasetSpec:
    """The dataset of all rows, file after file. With `windows` each file is one series.

    A column of text has the categories of all files. Raises DatasetError for a file that is not
    on this machine, for arrays of other shapes than in the first file, and above memory_bytes.
    """
    of_each = {name: part for name, part in files.fields.items() if name not in _OF_JOINED}
    specs = [dataset_spec({**of_each, "path": path}) for path in files.paths]
    infos = _with_one_vocabulary([_described(spec, settings) for spec in specs], settings)
    _check_bytes(infos, settings)
    parts = []
    for number, info in enumerate(infos):
        parts.append(_in_memory(load(info.dataset, settings, info.fingerprint, floatx="float64")))
        if on_progress is not None:
            on_progress(f"{number + 1:,} of {len(infos):,} files read")
    fields = _joined(files.paths, parts)
    of_joined = {name: part for name, part in files.fields.items() if name in _OF_JOINED}
    size, extra = of_joined.get("windows"), {}
    size = size.model_dump() if isinstance(size, Windows) else size
    if isinstance(size, dict) and not size.get(SERIES):
        extra[SERIES] = np.repeat(np.arange(len(parts)), [part.rows for part in parts])
        of_joined["windows"] = {**size, SERIES: SERIES}
    present = {name: part for name, part in fields.items() if part is not None}
    dataset = written(present, settings, extra)
    roles = dataset.model_dump(include={"path", *ROLES, "groups"})
    categories = infos[0].dataset.categories
    return dataset_spec({**roles, "categories": categories, **of_joined})


def _described(spec: DatasetSpec, settings: Settings) -> DatasetInfo:
    info = describe(spec, settings)
    if info is None:
        raise DatasetError(
            f"dataset.path: {spec.path!r} cannot be found on this machine, and several files are"
            " joined where the job is submitted; submit from a machine that has them"
        )
    return info


def _with_one_vocabulary(infos: list[DatasetInfo], settings: Settings) -> list[DatasetInfo]:
    """The same files with the categories of all: a code stands for the same word in each."""
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


def _in_memory(arrays: Arrays) -> Arrays:
    """The arrays with streams read into memory."""

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
            shapes, first = [a.shape[1:] for a in file_leaves], [a.shape[1:] for a in leaves[0]]
            if shapes != first:
                raise DatasetError(
                    f"{path}: its {role} has rows of {shapes or 'nothing'}, the first file's of"
                    f" {first or 'nothing'}; all files need the same arrays"
                )
        arrays = [np.concatenate(parts) for parts in zip(*leaves, strict=True)]
        joined[role] = with_leaves(structures[0], arrays)
    return joined
