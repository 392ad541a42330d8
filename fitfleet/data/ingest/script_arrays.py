"""Arrays of a script as a dataset: written once to a file of the storage, named by its content.

They are what Keras's `fit` takes: arrays, lists and dicts of them, DataFrames and Series, and
iterables of batches (tf.data.Dataset, PyDataset, generators), which are read to their end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

from fitfleet.data.ingest.batch_iterables import is_batches, read_batches
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


class Stored(NamedTuple):
    """A dataset in a file, and the sizes of the batches that it came in, None where they differ."""

    dataset: DatasetSpec
    batch_sizes: dict[str, int | None]  # by the argument that a job has for it


class DataStore:
    """Writes the data in the arguments of jobs to files; data that several jobs share, once."""

    def __init__(self, settings: Settings, on_progress: OnProgress | None = None) -> None:
        self._settings = settings
        self._on_progress = on_progress
        self._specs: dict[tuple[int, ...], Stored] = {}
        self._local: dict[str, Any] = {}

    def replaced(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords of a job, its dataset replaced by one of a file.

        Batches have the size of those that the dataset yields, unless the job says another.

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
            given |= self._of_arrays(dataset, more, given)
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
        return self._stored_once(dataset, more, lambda: Stored(make(), {})).dataset

    def _stored_once(self, dataset: Any, more: list[Any], make: Callable[[], Stored]) -> Stored:
        key = tuple(map(id, (dataset, *more)))  # the caller keeps them alive as long as this store
        if key not in self._specs:
            self._specs[key] = make()
        return self._specs[key]

    def _of_arrays(self, dataset: Any, more: list[Any], job: Mapping[str, Any]) -> dict[str, Any]:
        """The dataset, and the batch sizes that the job does not say."""
        validation, weights = more
        make = partial(
            _stored,
            dataset,
            self._settings,
            validation,
            weights,
            self._on_progress,
            _batch_counts(job),
        )
        read = self._stored_once(dataset, more, make)
        sizes = {name: size for name, size in read.batch_sizes.items() if job.get(name) is None}
        if sizes.get("batch_size", 0) is None:
            raise DatasetError(
                "dataset: has batches of different sizes; give batch_size=32, or another: a job"
                " divides the rows into batches anew"
            )
        return {"dataset": read.dataset, **{name: n for name, n in sizes.items() if n is not None}}

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
    dataset: Any, settings: Settings, validation_data: Any = None, sample_weight: Any = None
) -> DatasetSpec:
    """The dataset in a file of the storage; written only if no file holds this content yet.

    Raises DatasetError for values that are no numbers, for rows of different lengths and for
    batches that exceed `memory_bytes`; StorageError.
    """
    return _stored(dataset, settings, validation_data, sample_weight, None, (None, None)).dataset


def _stored(
    dataset: Any,
    settings: Settings,
    validation_data: Any,
    sample_weight: Any,
    on_progress: OnProgress | None,
    counts: tuple[int | None, int | None],
) -> Stored:
    sizes: dict[str, int | None] = {}

    def read(value: Any, place: str, argument: str, count: int | None) -> Any:
        if not is_batches(value):
            return _fields(value, place)
        batches = read_batches(value, place, settings.memory_bytes, on_progress, count)
        sizes[argument] = batches.batch_size
        return _fields(batches.arrays, place)

    fields = read(dataset, "dataset", "batch_size", counts[0])
    if sample_weight is not None:
        fields["sample_weight"] = sample_weight
    if validation_data is not None:
        held_out = read(validation_data, "validation_data", "validation_batch_size", counts[1])
        fields |= {f"{name}_val": value for name, value in held_out.items()}
    dataset_spec = written(fields, settings)
    without_y = dataset_spec.model_copy(update={"y": None})
    return Stored(dataset_spec if "y" in fields else without_y, sizes)


def _batch_counts(job: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """How many batches Keras's `fit` takes of a generator, and of one of validation data."""
    steps, epochs, first = (
        job.get(name, default)
        for name, default in (("steps_per_epoch", None), ("epochs", 1), ("initial_epoch", 0))
    )
    are_counts = all(isinstance(n, Integral) for n in (steps, epochs, first))
    held_out = job.get("validation_steps")
    return (
        int(steps) * max(1, int(epochs) - int(first)) if are_counts else None,
        int(held_out) if isinstance(held_out, Integral) else None,
    )


def _fields(value: Any, place: str) -> dict[str, Any]:
    """{"x": ..., "y": ..., "sample_weight": ...} of the value; without those that are None.

    y is None for a model that adds its losses itself.
    """
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
        hint = (
            "; of an autoencoder y is x: (x, x), x alone is (x, None)"
            if hasattr(value, "__array__")
            else ""
        )
        raise DatasetError(f"{place}: {what} does not say what is x and what is y; {_REMEDY}{hint}")
    for name in ("x", "y"):
        if name not in parts or (name == "x" and parts[name] is None):
            hint = "; (x, None) for a model that adds its losses itself" if name == "y" else ""
            raise DatasetError(f"{place}.{name}: is missing; {_REMEDY}{hint}")
    return {name: part for name, part in parts.items() if part is not None}
