"""Arrays of a script as a dataset: written once to a file of the storage, named by its content.

They are what Keras's `fit` takes: arrays, lists and dicts of them, DataFrames and Series, and
iterables of batches (tf.data.Dataset, PyDataset, generators), which are read to their end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fitfleet.data.ingest.batch_iterables import is_batches, joined
from fitfleet.data.ingest.conversion import OnProgress
from fitfleet.data.ingest.folders import decoded
from fitfleet.data.ingest.joined_files import of_files
from fitfleet.data.ingest.records import of_records
from fitfleet.data.ingest.remote import fetched, has_remote
from fitfleet.data.ingest.stored_arrays import is_data, written
from fitfleet.data.ingest.zarr import is_zarr, of_zarr
from fitfleet.errors import DatasetError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.files import as_files
from fitfleet.spec.datasets.folders import Folder, as_folder
from fitfleet.spec.datasets.records import TFRecord, as_records
from fitfleet.spec.job import DatasetSpec
from fitfleet.spec.keras_names.keras_arguments import instead

_FIELDS = ("x", "y", "sample_weight")
_WITH_ARRAYS = ("validation_data", "sample_weight")
_REMEDY = (
    "give (x, y), (x, y, sample_weight) or {'x': ..., 'y': ...} of arrays, or the path of a file"
)


class DataStore:
    """Writes the data in the arguments of jobs to files; data that several jobs share, once."""

    def __init__(self, settings: Settings, on_progress: OnProgress | None = None) -> None:
        self._settings = settings
        self._on_progress = on_progress
        self._specs: dict[tuple[int, ...], DatasetSpec] = {}
        self._local: dict[str, Any] = {}

    def replaced(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords of a job, its dataset replaced by one of a file.

        Raises SpecError for an argument of Keras that no job has, before any data are read;
        DatasetError, StorageError.
        """
        given = dict(job)
        for name in given:
            if (words := instead(name)) is not None:
                raise SpecError(name, words)
        dataset = given.get("dataset")
        more = [given.pop(name, None) for name in _WITH_ARRAYS]
        dataset = given["dataset"] = self._as_local(dataset)
        folder, files, records = as_folder(dataset), as_files(dataset), as_records(dataset)
        if records is not None:
            make = partial(self._of_records, records, *more)
            given["dataset"] = self._once(dataset, more, make)
        elif folder is not None:
            given["dataset"] = self._once(dataset, more, partial(self._of_folder, folder, *more))
        elif files is not None and more == [None, None]:
            make = partial(of_files, files, self._settings, self._on_progress)
            given["dataset"] = self._once(dataset, more, make)
        elif files is None and is_in_memory(dataset):
            make = partial(stored, dataset, self._settings, more[0], more[1], self._on_progress)
            given["dataset"] = self._once(dataset, more, make)
        elif any(value is not None for value in more):
            name = _WITH_ARRAYS[0] if more[0] is not None else _WITH_ARRAYS[1]
            raise DatasetError(
                f"{name}: goes with arrays, dataset=(x, y); of a file name the arrays in it, such"
                " as Dataset(path, x_val=..., y_val=..., sample_weight=...)"
            )
        return given

    def _as_local(self, dataset: Any) -> Any:
        """The dataset with its URLs fetched, its Zarr folder unpacked."""
        if has_remote(dataset):
            make = fetched
        elif is_zarr(dataset):
            make = of_zarr
        else:
            return dataset
        key = repr(dataset)  # of paths and names; the result is kept, so that its id stays its own
        if key not in self._local:
            self._local[key] = make(dataset, self._settings, self._on_progress)
        return self._local[key]

    def _once(self, dataset: Any, more: list[Any], make: Callable[[], DatasetSpec]) -> DatasetSpec:
        key = tuple(map(id, (dataset, *more)))  # the caller keeps them alive as long as this store
        if key not in self._specs:
            self._specs[key] = make()
        return self._specs[key]

    def _of_folder(self, folder: Folder, validation: Any, weights: Any) -> DatasetSpec:
        if weights is not None:
            raise DatasetError("sample_weight: goes with arrays, dataset=(x, y), not with a folder")
        parts = {"": folder}
        if validation is not None:
            held_out = as_folder(validation)
            if held_out is None or held_out.kind != folder.kind:
                raise DatasetError(
                    f"validation_data: the {type(validation).__name__} does not go with a"
                    f" {type(folder).__name__}; give one of those"
                )
            parts["_val"] = held_out
        return decoded(parts, self._settings, self._on_progress)

    def _of_records(self, records: TFRecord, validation: Any, weights: Any) -> DatasetSpec:
        if weights is not None:
            raise DatasetError("sample_weight: name the feature, ff.TFRecord(sample_weight='w')")
        held_out = as_records(validation)
        if validation is not None and held_out is None:
            raise DatasetError(
                f"validation_data: the {type(validation).__name__} does not go with a TFRecord;"
                " give one of those"
            )
        parts = {"": records} if held_out is None else {"": records, "_val": held_out}
        return of_records(parts, self._settings, self._on_progress)


def is_in_memory(dataset: Any) -> bool:
    """Whether a `dataset=` is the data itself, not a path or a mapping of names."""
    if isinstance(dataset, tuple | list):
        return True
    return not isinstance(dataset, str | os.PathLike | DatasetSpec) and is_data(dataset)


def stored(
    dataset: Any,
    settings: Settings,
    validation_data: Any = None,
    sample_weight: Any = None,
    on_progress: OnProgress | None = None,
) -> DatasetSpec:
    """The dataset in a file of the storage; written only if no file holds this content yet.

    Raises DatasetError for values that are no numbers, for rows of different lengths and for
    batches that exceed `memory_bytes`; StorageError.
    """
    fields = _fields(dataset, "dataset", settings, on_progress)
    if sample_weight is not None:
        fields["sample_weight"] = sample_weight
    if validation_data is not None:
        for name, value in _fields(
            validation_data, "validation_data", settings, on_progress
        ).items():
            fields[f"{name}_val"] = value
    dataset_spec = written(fields, settings)
    return dataset_spec if "y" in fields else dataset_spec.model_copy(update={"y": None})


def _fields(
    value: Any, place: str, settings: Settings, on_progress: OnProgress | None
) -> dict[str, Any]:
    """{"x": ..., "y": ..., "sample_weight": ...} of the value; without those that are None.

    y is None for a model that adds its losses itself.
    """
    if is_batches(value):
        value = joined(value, place, settings.memory_bytes, on_progress)
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in _FIELDS]
        if unknown:
            raise DatasetError(
                f"{place}.{unknown[0]!s:.40}: is not one of x, y, sample_weight; {_REMEDY}"
            )
        parts = dict(value)
    elif isinstance(value, tuple | list) and any(isinstance(part, str) for part in value):
        raise DatasetError(f"{place}: {value!r:.80} is neither files nor arrays; {_REMEDY}")
    elif isinstance(value, tuple | list) and 2 <= len(value) <= len(_FIELDS):
        parts = dict(zip(_FIELDS, value, strict=False))
    else:
        what = f"the {type(value).__name__}"
        if isinstance(value, tuple | list):
            what += f" of {len(value)}"
        hint = "; of an autoencoder y is x: (x, x)" if hasattr(value, "__array__") else ""
        raise DatasetError(f"{place}: {what} does not say what is x and what is y; {_REMEDY}{hint}")
    for name in ("x", "y"):
        if name not in parts or (name == "x" and parts[name] is None):
            hint = "; (x, None) for a model that adds its losses itself" if name == "y" else ""
            raise DatasetError(f"{place}.{name}: is missing; {_REMEDY}{hint}")
    return {name: part for name, part in parts.items() if part is not None}
