"""Predictions of a model as a file of the storage, written in chunks as they are computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.storage import PREDICTIONS, write_document
from fitfleet.worker.state.hdf5 import created


def write(path: Path, parts: Iterator[Any] | None, document: dict[str, Any]) -> None:
    """Write the document and, if there are some, predictions, part by part.

    Each output is an array `0`, `1`, ... of the group; `outputs` in the document has the structure
    of the predictions with these names in it. The file is not synced yet.
    """
    outputs = None
    with created(path) as file:
        for part in parts or ():
            group = file.require_group(PREDICTIONS)
            outputs = _append(group, part, iter(range(10**6)))
        write_document(file, {**document, "outputs": outputs})


def _append(group: Any, part: Any, numbers: Iterator[int]) -> Any:
    """Adds the rows of each array to its own; the structure, with their names."""
    if isinstance(part, dict):
        return {name: _append(group, value, numbers) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [_append(group, value, numbers) for value in part]
    name, array = str(next(numbers)), _storable(np.asarray(part))
    if name not in group:
        group.create_dataset(name, data=array, maxshape=(None, *array.shape[1:]), chunks=True)
    else:
        dataset = group[name]
        first = len(dataset)
        dataset.resize(first + len(array), axis=0)
        dataset[first:] = array
    return name


def _storable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """HDF5 has no bfloat16, whose numbers float32 holds."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
