"""Arrays of a script as a dataset: written once to a file of the storage, named by its content.

What Keras's `fit` takes is taken: arrays, lists and dicts of them, DataFrames and Series, and
whatever gives batches in order (tf.data.Dataset, PyDataset, generators), which is read to its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.batches import is_batches, joined
from fitfleet.data.folders import OnProgress, decoded
from fitfleet.data.formats.file import hasher
from fitfleet.data.formats.source import Array
from fitfleet.data.location import DATASETS, STORAGE
from fitfleet.errors import DatasetError, StorageError
from fitfleet.settings import Settings
from fitfleet.spec.folders import Folder, as_folder
from fitfleet.spec.job import DatasetSpec

_FIELDS = ("x", "y", "sample_weight")
_BESIDE = ("validation_data", "sample_weight")
_WAY = "give (x, y), (x, y, sample_weight) or {'x': ..., 'y': ...} of arrays, or the path of a file"


class DataStore:
    """Puts the arrays in the arguments of jobs into files; what several jobs share, once."""

    def __init__(self, settings: Settings, on_progress: OnProgress | None = None) -> None:
        self._settings = settings
        self._on_progress = on_progress
        self._known: dict[tuple[int, ...], DatasetSpec] = {}

    def replaced(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with a dataset that is a file. Raises DatasetError, StorageError."""
        given = dict(job)
        dataset, more = given.get("dataset"), [given.pop(name, None) for name in _BESIDE]
        folder = as_folder(dataset)
        if folder is not None or is_in_memory(dataset):
            key = tuple(map(id, (dataset, *more)))  # the caller holds them while this lives
            if key not in self._known:
                if folder is not None:
                    self._known[key] = self._of_folder(folder, *more)
                else:
                    self._known[key] = stored(
                        dataset, self._settings, more[0], more[1], self._on_progress
                    )
            given["dataset"] = self._known[key]
        elif any(value is not None for value in more):
            name = _BESIDE[0] if more[0] is not None else _BESIDE[1]
            raise DatasetError(
                f"{name}: goes with arrays, dataset=(x, y); of a file name the arrays in it, such"
                " as Dataset(path, x_val=..., y_val=..., sample_weight=...)"
            )
        return given

    def _of_folder(self, folder: Folder, validation: Any, weights: Any) -> DatasetSpec:
        if weights is not None:
            raise DatasetError("sample_weight: goes with arrays, dataset=(x, y), not with a folder")
        parts = {"": folder}
        if validation is not None:
            beside = as_folder(validation)
            if beside is None or beside.kind != folder.kind:
                raise DatasetError(
                    f"validation_data: the {type(validation).__name__} does not go with a"
                    f" {type(folder).__name__}; give one of those"
                )
            parts["_val"] = beside
        return decoded(parts, self._settings, self._on_progress)


def is_in_memory(dataset: Any) -> bool:
    """Whether a `dataset=` holds the data itself: no path, and no mapping of names."""
    if isinstance(dataset, tuple | list):
        return True
    return not isinstance(dataset, str | os.PathLike | DatasetSpec) and _is_data(dataset)


def stored(
    dataset: Any,
    settings: Settings,
    validation_data: Any = None,
    sample_weight: Any = None,
    on_progress: OnProgress | None = None,
) -> DatasetSpec:
    """The dataset in a file of the storage; written only if no file holds this content yet.

    Raises DatasetError for what holds no numbers, has rows of different lengths or does not end
    within `memory_bytes`, and StorageError.
    """
    fields = _fields(dataset, "dataset", settings, on_progress)
    if sample_weight is not None:
        fields["sample_weight"] = sample_weight
    if validation_data is not None:
        for name, value in _fields(
            validation_data, "validation_data", settings, on_progress
        ).items():
            fields[f"{name}_val"] = value
    arrays: dict[str, Array] = {}
    roles = {name: _named(name, value, arrays) for name, value in fields.items()}
    name = f"{_content(arrays)}.h5"
    _write(Path(settings.storage) / DATASETS / name, arrays)
    return DatasetSpec(path=f"{STORAGE}{DATASETS}/{name}", **roles)


def _is_data(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_data, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_data, value))
    return hasattr(value, "__array__") or is_batches(value)


def _fields(
    value: Any, place: str, settings: Settings, on_progress: OnProgress | None
) -> dict[str, Any]:
    """{"x": ..., "y": ..., "sample_weight": ...} of what was given; the last may be absent."""
    if is_batches(value):
        value = joined(value, place, settings.memory_bytes, on_progress)
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in _FIELDS]
        if unknown:
            raise DatasetError(
                f"{place}.{unknown[0]!s:.40}: is none of x, y, sample_weight; {_WAY}"
            )
        found = dict(value)
    elif isinstance(value, tuple | list) and any(isinstance(part, str) for part in value):
        raise DatasetError(
            f"{place}: {value!r:.80} names several files; join their arrays in one HDF5 file, or"
            " give .npy files by name, Dataset(files={'x': 'x.npy', 'y': 'y.npy'})"
        )
    elif isinstance(value, tuple | list) and 2 <= len(value) <= len(_FIELDS):
        found = dict(zip(_FIELDS, value, strict=False))
    else:
        what = f"the {type(value).__name__}"
        if isinstance(value, tuple | list):
            what += f" of {len(value)}"
        lone = "; of an autoencoder y is x: (x, x)" if hasattr(value, "__array__") else ""
        raise DatasetError(f"{place}: {what} does not say what is x and what is y; {_WAY}{lone}")
    found = {name: part for name, part in found.items() if part is not None}
    for name in ("x", "y"):
        if name not in found:
            raise DatasetError(f"{place}.{name}: is missing; {_WAY}")
    return found


def _named(role: str, value: Any, arrays: dict[str, Array]) -> Any:
    """The role as DatasetSpec has it; the arrays are put into `arrays` by their names."""
    if isinstance(value, Mapping):
        names = {str(key): f"{role}/{index}" for index, key in enumerate(value)}
        for (key, part), name in zip(value.items(), names.values(), strict=True):
            arrays[name] = _array(part, f"{role}[{key!r:.40}]")
        return names
    if isinstance(value, list | tuple) and _is_data(value):
        for index, part in enumerate(value):
            arrays[f"{role}/{index}"] = _array(part, f"{role}[{index}]")
        return [f"{role}/{index}" for index in range(len(value))]
    arrays[role] = _array(value, role)
    return role


def _array(value: Any, place: str) -> Array:
    """One array of numbers, rows first. Raises DatasetError."""
    value = value.toarray() if hasattr(value, "toarray") else value  # of SciPy's sparse matrices
    try:
        found = _frame(value) if hasattr(value, "to_numpy") else np.asarray(value)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{place}: is no array: {str(error)[:120]}") from None
    if found.dtype.kind in "OUSV":
        raise DatasetError(f"{place}: {_not_numbers(found)}")
    if found.ndim == 0:
        raise DatasetError(f"{place}: is one number; an array has a row for each sample")
    return found


def _frame(value: Any) -> Array:
    """A DataFrame or Series as one array, missing values as NaN."""
    kinds = list(value.dtypes) if hasattr(value, "columns") else [value.dtype]
    if all(getattr(kind, "kind", "O") in "fiub" for kind in kinds):
        if any(getattr(kind, "na_value", None) is not None for kind in kinds):
            return np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan))
        found = value.to_numpy()
        return found.astype(np.float64) if found.dtype.kind == "O" else np.asarray(found)
    return np.asarray(value.to_numpy())


def _not_numbers(found: Array) -> str:
    first = next((v for v in found.ravel() if not isinstance(v, int | float)), "")
    if found.dtype.kind == "O" and not isinstance(first, str | bytes) and hasattr(first, "__len__"):
        return (
            "has rows of different lengths; pad them to one, such as with"
            " keras.utils.pad_sequences, and mask what was added"
        )
    return (
        f"holds {str(first)!r:.40}, not numbers; encode it first, such as with pandas.factorize for"
        " labels or pandas.get_dummies for categories"
    )


def _content(arrays: dict[str, Array]) -> str:
    """Hex hash of names, dtypes, shapes and values."""
    digest = hasher()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return str(digest.hexdigest())


def _write(path: Path, arrays: dict[str, Array]) -> None:
    """The file, whole or not at all. Raises StorageError."""
    import h5py

    with contextlib.suppress(OSError):
        os.utime(path)  # it is there; `gc` sees that it is wanted
        return
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(partial, "w") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
        os.replace(partial, path)
    except OSError as error:
        raise StorageError(
            f"{path.parent}: the data cannot be written there: {str(error)[:160]}; set storage to a"
            " folder that this machine may write to"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
