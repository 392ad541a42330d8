"""Arrays of a dataset as tensors, from which a traced program gathers its batches."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from fitfleet.data.arrays import Arrays
from fitfleet.data.info import flatten
from fitfleet.data.rows.streams import Stream
from fitfleet.spec.job import JobSpec
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.tf_datasets import as_floatx, weights


@dataclass(frozen=True)
class Feed:
    """`data` is (x,), (x, y) or (x, y, sample_weight), nested tensors of shape (rows, ...)."""

    data: tuple[Any, ...]
    rows: int

    @property
    def signature(self) -> tuple[Any, ...]:
        """The tf.TensorSpecs of `data`, with any number of rows."""
        return tuple(tf.nest.map_structure(_row_spec, self.data))

    @property
    def description(self) -> str:
        """Structure, dtypes and shapes without the rows; equal for feeds of one program."""
        return repr(self.signature)


class Feeds:
    """The tensors of the newest dataset, shared by the jobs of a cohort."""

    def __init__(self, max_bytes: float = math.inf) -> None:
        """Test arrays above `max_bytes` are not converted."""
        self._max_bytes = max_bytes
        self._key: tuple[Any, ...] = ()
        self._feeds: tuple[Feed, Feed | None] | None = None
        self._test: Feed | None = None
        self._arrays: Any = None

    def of(self, job: PreparedJob) -> tuple[Feed, Feed | None]:
        """(training, validation) of a job."""
        spec = job.spec
        key = (spec.dataset, spec.validation_split, str(spec.class_weight), spec.dtype_policy)
        if self._feeds is None or key != self._key or not _same(self._arrays, job.arrays):
            self._feeds = self._test = None  # memory may not hold two datasets
            self._feeds = training(job.arrays, spec), validation(job.arrays)
            self._key, self._arrays = key, job.arrays
            _drop_pages(job.arrays)
        return self._feeds

    def test(self, job: PreparedJob) -> Feed | None:
        """The test arrays of a job; None if they lack labels, are streamed, or are too large."""
        self.of(job)
        x, y = job.arrays.x_test, job.arrays.y_test
        if self._test is None and x is not None and y is not None:
            leaves = [*flatten(x), *flatten(y)]
            is_streamed = any(isinstance(leaf, Stream) for leaf in leaves)
            if not is_streamed and sum(leaf.nbytes for leaf in leaves) <= self._max_bytes:
                self._test = evaluated(x, y, None)
        return self._test


def nbytes(arrays: Arrays) -> int:
    """Bytes of the training and validation arrays as tensors; windows count in full."""
    train = (arrays.x, arrays.y, arrays.sample_weight)
    parts = (*train, arrays.x_val, arrays.y_val, arrays.sample_weight_val)
    return sum(leaf.nbytes for part in parts for leaf in flatten(part))


def training(arrays: Arrays, spec: JobSpec) -> Feed:
    """The training arrays, with class weights as sample weights."""
    return Feed(_tensors(arrays.x, arrays.y, weights(arrays, spec)), arrays.rows)


def validation(arrays: Arrays) -> Feed | None:
    """The validation arrays, in their order."""
    if arrays.x_val is None:
        return None
    return evaluated(arrays.x_val, arrays.y_val, arrays.sample_weight_val)


def evaluated(x: Any, y: Any, weight: Any) -> Feed:
    """Arrays as `evaluate` takes them."""
    parts = _tensors(x, y, weight)
    return Feed(parts, int(tf.nest.flatten(parts)[0].shape[0]))


def _tensors(x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
    parts = (x,) if y is None else (x, y) if weight is None else (x, y, weight)
    return tuple(as_floatx(_tensor(part)) for part in parts)


def _tensor(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _tensor(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return tuple(_tensor(value) for value in part)
    return tf.constant(np.asarray(part))


def _row_spec(tensor: Any) -> Any:
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)


def _drop_pages(arrays: Arrays) -> None:
    """Free the pages of mapped files, of which the tensors are a copy; a read maps them again."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    inputs = (arrays.x, arrays.y, arrays.sample_weight)
    for part in (*inputs, arrays.x_val, arrays.y_val, arrays.sample_weight_val):
        for leaf in flatten(part) if part is not None else ():
            mapped = _map_under(leaf)
            if mapped is not None:
                mapped.madvise(mmap.MADV_DONTNEED)


def _map_under(array: Any) -> mmap.mmap | None:
    """The mapped file that an array is a view of, directly or by other views."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array


def _same(left: Any, right: Any) -> bool:
    """Whether two loads of a dataset returned the same array objects."""
    parts = ("x", "y", "sample_weight", "x_val", "y_val", "sample_weight_val")
    pairs = [(getattr(left, p), getattr(right, p)) for p in parts]
    if any((a is None) != (b is None) for a, b in pairs):
        return False
    leaves = [(a, b) for a, b in pairs if a is not None]
    return all(x is y for a, b in leaves for x, y in zip(flatten(a), flatten(b), strict=True))
