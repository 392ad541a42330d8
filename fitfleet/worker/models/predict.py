"""A fitted model at work: Keras's `predict` and `evaluate`, in a worker or in a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fitfleet.data.arrays import load
from fitfleet.data.formats.text import text_array
from fitfleet.data.info import flatten, map_structure
from fitfleet.data.ingest.batch_iterables import is_batches, joined
from fitfleet.data.ingest.stored_arrays import as_array, is_data
from fitfleet.data.rows.rows import rows_of, take
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import dataset_spec, inputs_only, names_a_dataset
from fitfleet.spec.job import JobSpec
from fitfleet.worker import tf_datasets
from fitfleet.worker.logs import numbers
from fitfleet.worker.models.build import precision
from fitfleet.worker.recording.error_text import explanation

# Approximate bytes of predictions computed at once where they are streamed.
_PART_BYTES = 64 * 2**20


def predict(model: Any, x: Any, spec: JobSpec, settings: Settings, batch_size: int) -> Any:
    """Keras's `predict` in the job's dtype policy, on arrays or on x of a dataset by its path.

    DatasetError for arrays that do not fit.
    """
    x, how = _inputs(x, spec, settings), {"batch_size": batch_size, "verbose": 0}
    with precision(spec.dtype_policy):
        try:
            if any(isinstance(leaf, np.ndarray) and leaf.dtype.kind == "S" for leaf in flatten(x)):
                return model.predict(tf_datasets.evaluation(x, None, None, batch_size), verbose=0)
            return model.predict(x, **how)
        except (ValueError, TypeError) as error:
            raise _misfit("x", error) from error


def stream(model: Any, x: Any, spec: JobSpec, settings: Settings, batch_size: int) -> Iterator[Any]:
    """The same, some whole batches at a time. `x` holds arrays, or names a dataset."""
    x = _inputs(x, spec, settings)
    x = map_structure(x, lambda leaf: leaf if _has_rows(leaf) else _array(leaf))
    parts = predictions(model, x, batch_size)
    while True:
        with precision(spec.dtype_policy):  # the caller's own between two parts
            try:
                part = next(parts, None)
            except (ValueError, TypeError) as error:
                raise _misfit("x", error) from error
        if part is None:
            return
        yield part


def predictions(
    model: Any, x: Any, batch_size: int, callbacks: Sequence[Any] = ()
) -> Iterator[Any]:
    """What the model predicts for the rows in their order, some whole batches at a time."""
    rows, start, count = rows_of(x), 0, batch_size
    while start < rows:
        chosen = take(x, slice(start, min(rows, start + count)))
        dataset = tf_datasets.evaluation(chosen, None, None, batch_size)
        dataset = dataset[0] if isinstance(dataset, tuple) else dataset
        part = model.predict(dataset, batch_size=batch_size, verbose=0, callbacks=list(callbacks))
        yield part
        row_bytes = sum(leaf.nbytes for leaf in leaves(part)) / (min(rows, start + count) - start)
        start += count
        count = batch_size * max(1, int(_PART_BYTES / max(1.0, row_bytes * batch_size)))


def leaves(predicted: Any) -> list[Any]:
    """The arrays of what a model predicts, which may be a list, a tuple or a dict of them."""
    if isinstance(predicted, dict):
        return [leaf for part in predicted.values() for leaf in leaves(part)]
    if isinstance(predicted, list | tuple):
        return [leaf for part in predicted for leaf in leaves(part)]
    return [predicted]


def _inputs(x: Any, spec: JobSpec, settings: Settings) -> Any:
    if names_a_dataset(x):
        return load(inputs_only(dataset_spec(x)), settings, floatx=spec.floatx).x
    # Keras reads one batch ahead of a generator, and warns at its end.
    return joined(x, "x", settings.memory_bytes)["x"] if hasattr(x, "__next__") else _texts(x)


def _has_rows(leaf: Any) -> bool:
    return hasattr(leaf, "select") or isinstance(leaf, np.ndarray)


def _array(leaf: Any) -> Any:
    if not hasattr(leaf, "__array__") and not hasattr(leaf, "__len__"):
        raise DatasetError(
            f"x: predictions of a {type(leaf).__name__} cannot be streamed; give arrays or the path"
            " of a dataset"
        )
    return np.asarray(leaf)


def _texts(part: Any) -> Any:
    """Frames, lists of numbers and texts as arrays of numbers or UTF-8; all else as it is."""
    if isinstance(part, dict):
        return {name: _texts(value) for name, value in part.items()}
    if hasattr(part, "to_numpy"):
        return as_array(part, "x")
    if isinstance(part, list | tuple) and part and all(isinstance(text, str) for text in part):
        part = np.array(part, dtype=object)
    elif isinstance(part, list | tuple):
        return [_texts(value) for value in part] if is_data(part) else as_array(part, "x")
    if isinstance(part, np.ndarray) and part.dtype.kind in "OU":
        return text_array("x", part.ravel()).reshape(part.shape)
    return part


def evaluate(
    model: Any, dataset: Any, spec: JobSpec, settings: Settings, batch_size: int
) -> dict[str, float]:
    """Loss and metrics on `(x, y)`, or on x and y of a dataset as submit takes it by its path."""
    if is_batches(dataset):
        read = joined(dataset, "dataset", settings.memory_bytes)
        dataset = (read["x"], read["y"], read.get("sample_weight"))
    if isinstance(dataset, tuple):
        x, y, weight = (*dataset, None, None)[:3]
        parts = (_texts(x), y, weight)
    else:
        arrays = load(dataset_spec(dataset), settings, floatx=spec.floatx)
        parts = (arrays.x, arrays.y, arrays.sample_weight)
    with precision(spec.dtype_policy):
        try:
            return measured(model, parts, batch_size, settings)
        except (ValueError, TypeError) as error:
            raise _misfit("dataset", error) from error


def measured(
    model: Any,
    parts: tuple[Any, Any, Any],
    batch_size: int,
    settings: Settings,
    callbacks: Sequence[Any] = (),
) -> dict[str, float]:
    """Keras's `evaluate` on (x, y, sample_weight), by the names of a history."""
    dataset = tf_datasets.evaluation(*parts, batch_size, whole_bytes=settings.memory_bytes)
    how: dict[str, Any] = {"return_dict": True, "verbose": 0, "callbacks": list(callbacks)}
    if isinstance(dataset, tuple):
        x, y, weight = (*dataset, None, None)[:3]
        results = model.evaluate(x, y, sample_weight=weight, batch_size=batch_size, **how)
    else:
        results = model.evaluate(dataset, **how)
    return numbers(results)


def _misfit(place: str, error: Exception) -> DatasetError:
    return DatasetError(f"{place}: does not fit the model: {explanation(error)}")
