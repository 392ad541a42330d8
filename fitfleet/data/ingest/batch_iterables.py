"""Iterables of batches, read to their end: tf.data.Dataset, PyDataset, generators.

They are recognized by their attributes, so that neither TensorFlow nor Keras is imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from fitfleet.data.formats.text import is_text_array, text_array
from fitfleet.data.info import flatten, with_leaves
from fitfleet.errors import DatasetError

_PARTS = ("x", "y", "sample_weight")


def is_batches(value: Any) -> bool:
    """Whether a value yields batches: x, (x, y) or (x, y, sample_weight)."""
    return _is_tf_data(value) or _is_py_dataset(value) or _is_loader(value) or _is_iterator(value)


def _is_tf_data(value: Any) -> bool:
    return hasattr(value, "element_spec") and hasattr(value, "as_numpy_iterator")


def _is_py_dataset(value: Any) -> bool:
    return any(kind.__name__ in ("PyDataset", "Sequence") for kind in type(value).__mro__) and (
        hasattr(value, "__getitem__") and hasattr(value, "on_epoch_end")
    )


def _is_loader(value: Any) -> bool:
    """A DataLoader of PyTorch."""
    return hasattr(value, "batch_size") and hasattr(value, "collate_fn")


def _is_iterator(value: Any) -> bool:
    return inspect.isgenerator(value) or (hasattr(value, "__next__") and hasattr(value, "__iter__"))


class Joined(NamedTuple):
    """The rows of all batches in their order, and how many each batch has."""

    arrays: dict[str, Any]
    rows: list[int]

    @property
    def batch_size(self) -> int | None:
        """The rows of each batch, the last of which may have fewer; None if they differ."""
        size, last = self.rows[0], self.rows[-1]
        return size if last <= size and {*self.rows[:-1]} <= {size} else None


def joined(value: Any, place: str, max_bytes: int) -> dict[str, Any]:
    """{"x": ..., "y": ..., "sample_weight": ...}, as `read_batches` reads them."""
    return read_batches(value, place, max_bytes).arrays


def read_batches(
    value: Any,
    place: str,
    max_bytes: int,
    on_progress: Callable[[str], None] | None = None,
    limit: int | None = None,
) -> Joined:
    """{"x": ..., "y": ..., "sample_weight": ...} of all batches; of a generator, of `limit`.

    y is None where batches are x alone, as of a model that adds its losses itself.

    Raises DatasetError for batches of another structure than the first, for more than
    `max_bytes`, the setting memory_bytes, and for what is no batch.
    """
    if _is_tf_data(value):
        _check_tf_data(value, place)
    parts: list[dict[str, Any]] = []
    nbytes = 0
    for number, batch in enumerate(islice(_batches(value), limit if _is_iterator(value) else None)):
        part = _parts(batch, f"{place}: batch {number}")
        nbytes += sum(array.nbytes for array in flatten(list(part.values())))
        if nbytes > max_bytes:
            steps = "validation_steps" if place == "validation_data" else "steps_per_epoch"
            raise DatasetError(
                f"{place}: has yielded {nbytes:,} bytes in {number + 1:,} batches and not ended,"
                f" above the setting memory_bytes={max_bytes:,}; end it (a generator: by {steps}, a"
                " tf.data.Dataset: without repeat()), raise the setting, or write an HDF5 file,"
                " which streams"
            )
        parts.append(part)
        if on_progress is not None:
            on_progress(
                f"{place}: {number + 1:,} batches read, {nbytes:,} bytes of at most {max_bytes:,}"
            )
    return _concatenated(parts, place)


def _concatenated(parts: list[dict[str, Any]], place: str) -> Joined:
    if not parts:
        raise DatasetError(f"{place}: yielded no batch; a generator can be read only once")
    if any(part.keys() != parts[0].keys() for part in parts):
        number = next(n for n, part in enumerate(parts) if part.keys() != parts[0].keys())
        raise DatasetError(
            f"{place}: batch {number} has {', '.join(parts[number])}, the first"
            f" {', '.join(parts[0])}; give the same of each"
        )
    arrays = {name: _joined(name, parts, place) for name in parts[0]}
    return Joined({"y": None, **arrays}, [len(flatten(part["x"])[0]) for part in parts])


def _check_tf_data(value: Any, place: str) -> None:
    cardinality = getattr(value, "cardinality", None)
    if cardinality is not None and int(cardinality()) == -1:
        raise DatasetError(
            f"{place}: never ends; remove repeat(): a job goes over its rows again by itself, in"
            " epochs of N batches with steps_per_epoch=N"
        )


def _batches(value: Any) -> Iterator[Any]:
    if _is_tf_data(value):
        return iter(value.as_numpy_iterator())
    if _is_py_dataset(value):
        return (value[index] for index in range(_length(value)))
    return iter(value)


def _length(value: Any) -> int:
    count = getattr(value, "num_batches", None)
    return int(len(value) if count is None else count)


def _parts(batch: Any, place: str) -> dict[str, Any]:
    """{"x": ..., "y": ..., "sample_weight": ...}; only x for a model that adds its losses."""
    if hasattr(batch, "__array__") or isinstance(batch, Mapping):
        batch = (batch,)
    if not isinstance(batch, tuple | list) or len(batch) not in (1, 2, 3):
        raise DatasetError(
            f"{place}: is a {type(batch).__name__}, not (x, y) or (x, y, sample_weight); of an"
            " autoencoder y is x"
        )
    named = zip(_PARTS, batch, strict=False)
    parts = {name: _arrays(part, place) for name, part in named if part is not None}
    if "x" not in parts:
        raise DatasetError(f"{place}: has no x; give (x, y) or (x, y, sample_weight)")
    rows = [(len(array), name) for name, part in parts.items() for array in flatten(part)]
    if len({count for count, _ in rows}) > 1:
        given = " and ".join(f"{count} of {name}" for count, name in rows)
        raise DatasetError(
            f"{place}: has {given} where a batch has as many rows of each; if it is one row, make"
            " batches of them (a tf.data.Dataset: .batch(32))"
        )
    return parts


def _arrays(part: Any, place: str) -> Any:
    if isinstance(part, Mapping):
        return {str(name): _arrays(value, place) for name, value in part.items()}
    if isinstance(part, tuple | list) and part and hasattr(part[0], "__array__"):
        return [_arrays(value, place) for value in part]
    if isinstance(part, tuple | list) and any(isinstance(value, tuple) for value in part):
        raise DatasetError(
            f"{place}: holds tuples inside a tuple, ((a, b), (c, d)); give their arrays side by"
            " side, (a, b, c, d), and take them apart in train_step"
        )
    try:
        array = np.asarray(part)
    except RuntimeError as error:  # a tensor of PyTorch with a gradient
        raise DatasetError(f"{place}: is not an array: {str(error)[:120]}") from None
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.ndim and is_text_array(array):
        return text_array(place, array.ravel()).reshape(array.shape)
    if array.ndim == 0 or array.dtype.kind not in "fiub":
        raise DatasetError(
            f"{place}: contains a {type(part).__name__} of {array.dtype}, not an array of"
            f" numbers with"
            " a row for each sample (a tf.data.Dataset: after batch())"
        )
    return array


def _joined(name: str, parts: list[dict[str, Any]], place: str) -> Any:
    """The arrays of all batches, concatenated. Raises DatasetError for rows of other shapes."""
    batches = [flatten(part.get(name)) for part in parts]
    shapes = [[array.shape[1:] for array in batch] for batch in batches]
    if any(batch_shapes != shapes[0] for batch_shapes in shapes):
        number = next(n for n, batch_shapes in enumerate(shapes) if batch_shapes != shapes[0])
        raise DatasetError(
            f"{place}: batch {number} has {name} with rows of {shapes[number]}, the first as"
            f" {shapes[0]}; give rows of one shape, padded"
        )
    columns = zip(*batches, strict=True)
    return with_leaves(parts[0][name], [np.concatenate(column) for column in columns])
