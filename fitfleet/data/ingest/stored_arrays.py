"""Arrays in their roles, written once to a file of the storage that is named by its content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fitfleet.data.files import storage_files
from fitfleet.data.formats.file import hasher
from fitfleet.data.formats.source import Array
from fitfleet.data.formats.text import is_text_array, text_array
from fitfleet.data.ingest.batch_iterables import is_batches
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec


def written(
    fields: Mapping[str, Any], settings: Settings, extra: Mapping[str, Array] | None = None
) -> DatasetSpec:
    """The dataset of {role: array, list or dict of arrays}, in a file of the storage.

    `extra` are arrays by name that have no role. Nothing is written if a file has this content.
    Raises DatasetError, StorageError.
    """
    arrays: dict[str, Array] = dict(extra or {})
    roles = {name: _named(name, value, arrays) for name, value in fields.items()}
    digest = _content(arrays)
    _write(settings, digest, arrays)
    return DatasetSpec(path=storage_files.path_in_spec(digest), **roles)


def is_data(value: Any) -> bool:
    """Whether a value contains an array or an iterable of batches."""
    if isinstance(value, Mapping):
        return any(map(is_data, value.values()))
    if isinstance(value, list | tuple):
        return any(map(is_data, value))
    return hasattr(value, "__array__") or is_batches(value)


def _named(role: str, value: Any, arrays: dict[str, Array]) -> Any:
    """The role as DatasetSpec has it; the arrays are put into `arrays` by their names."""
    if isinstance(value, Mapping):
        names = {str(key): f"{role}/{index}" for index, key in enumerate(value)}
        for (key, part), name in zip(value.items(), names.values(), strict=True):
            arrays[name] = as_array(part, f"{role}[{key!r:.40}]")
        return names
    if isinstance(value, list | tuple) and is_data(value):
        for index, part in enumerate(value):
            arrays[f"{role}/{index}"] = as_array(part, f"{role}[{index}]")
        return [f"{role}/{index}" for index in range(len(value))]
    arrays[role] = as_array(value, role)
    return role


def as_array(value: Any, place: str) -> Array:
    """One array of numbers, or of texts in x, rows first. Raises DatasetError."""
    value = value.toarray() if hasattr(value, "toarray") else value  # of SciPy's sparse matrices
    if isinstance(value, np.ma.MaskedArray) and np.any(value.mask):
        raise DatasetError(
            f"{place}: contains {np.count_nonzero(value.mask):,} masked values, whose mask is lost;"
            " fill them, such as array.filled(0)"
        )
    try:
        array = _frame(value) if hasattr(value, "to_numpy") else np.asarray(value)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # the last: see batch_iterables
        raise DatasetError(f"{place}: is not an array: {str(error)[:120]}") from None
    if place[0] == "x" and is_text_array(array):
        return text_array(place, array.ravel()).reshape(array.shape)
    if array.dtype.kind in "OUSV":
        raise DatasetError(f"{place}: {_not_numbers(array)}{_of_columns(place, value)}")
    if array.dtype.kind not in "fiub":
        raise DatasetError(
            f"{place}: contains {array.dtype}, not real numbers; give floats, integers or booleans,"
            " such as seconds since a date, or real and imaginary parts"
        )
    if array.ndim == 0:
        raise DatasetError(f"{place}: is one number; an array has a row for each sample")
    return array


def _frame(value: Any) -> Array:
    """A DataFrame or Series as one array, missing values as NaN."""
    kinds = list(value.dtypes) if hasattr(value, "columns") else [value.dtype]
    if all(getattr(kind, "kind", "O") in "fiub" for kind in kinds):
        if any(getattr(kind, "na_value", None) is not None for kind in kinds):
            return np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan))
        values = value.to_numpy()
        return values.astype(np.float64) if values.dtype.kind == "O" else np.asarray(values)
    return np.asarray(value.to_numpy())


def _of_columns(place: str, value: Any) -> str:
    if not (place == "x" and hasattr(value, "columns")):
        return ""
    return "; a model with an input for each column takes dict(frame)"


def _not_numbers(array: Array) -> str:
    first = next((v for v in array.ravel() if not isinstance(v, int | float)), "")
    if array.dtype.kind == "O" and not isinstance(first, str | bytes) and hasattr(first, "__len__"):
        return (
            "has rows of different lengths; pad them to one, such as with"
            " keras.utils.pad_sequences, and mask what was added"
        )
    return (
        f"contains {str(first)!r:.40}, not numbers; encode it first, such as with"
        f" pandas.factorize for"
        " labels or pandas.get_dummies for categories; texts are inputs, in arrays of"
        " their own"
    )


def _content(arrays: dict[str, Array]) -> str:
    """Hex hash of names, dtypes, shapes and values."""
    digest = hasher()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return str(digest.hexdigest())


def _write(settings: Settings, digest: str, arrays: dict[str, Array]) -> None:
    """The file, whole or not at all. Raises StorageError."""
    import h5py

    name = storage_files.name_of(digest)
    if storage_files.is_there(settings, name):
        return
    with storage_files.draft(settings) as draft:
        with h5py.File(draft, "w") as file:
            for array_name, array in arrays.items():
                file.create_dataset(array_name, data=array)
        storage_files.keep(settings, draft, name)
