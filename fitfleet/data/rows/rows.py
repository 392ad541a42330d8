"""The arrays of a dataset by role, and selections of rows of all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from fitfleet.data.formats.source import Array
from fitfleet.data.info import Structure, flatten, map_structure
from fitfleet.data.rows.streams import Stream
from fitfleet.errors import DatasetError


@dataclass(frozen=True)
class Arrays:
    """Each role an array, a list or a dict of arrays, as the dataset declares it, or None.

    An array has its rows first. It is a read-only ndarray (often mapped from the machine's
    cache) or a Stream.
    """

    x: Structure
    y: Structure = None
    sample_weight: Structure = None
    x_val: Structure = None
    y_val: Structure = None
    sample_weight_val: Structure = None
    x_test: Structure = None
    y_test: Structure = None
    groups: Array | None = None
    fingerprint: str = ""

    @property
    def rows(self) -> int:
        """Rows of the training arrays."""
        return rows_of(self.x)

    @property
    def has_streams(self) -> bool:
        """Whether an array is a Stream."""
        parts = (flatten(getattr(self, field.name)) for field in fields(self))
        return any(isinstance(array, Stream) for part in parts for array in part)


def with_weights_in_order(arrays: Arrays, outputs: list[str]) -> Arrays:
    """The same with sample weights that are named by output as a list in the order of `outputs`.

    Keras converts labels like this for a model with a list of outputs, but not weights.
    """
    changes: dict[str, Structure] = {}
    for role in ("sample_weight", "sample_weight_val"):
        weights = getattr(arrays, role)
        if isinstance(weights, dict) and outputs:
            changes[role] = [weights[name] for name in outputs]
    return replace(arrays, **changes) if changes else arrays


def rows_of(structure: Structure) -> int:
    """Rows of the first array of a role; 0 when it has none."""
    arrays = flatten(structure)
    return len(arrays[0]) if arrays else 0


def take(structure: Structure, chosen: slice | Array) -> Structure:
    """The chosen rows of every array of a role; of a Stream nothing is read."""

    def some(array: Any) -> Any:
        return array.select(chosen) if isinstance(array, Stream) else array[chosen]

    return map_structure(structure, some)


def validation_start(rows: int, fraction: float) -> int:
    """The first validation row of Keras's validation_split."""
    return math.floor(rows * (1.0 - fraction))


def split_validation(arrays: Arrays, fraction: float) -> Arrays:
    """Keras's validation_split: the last part, before any shuffling, is for validation.

    As in Keras, validation arrays take precedence. Raises DatasetError when a part would have no
    rows.
    """
    if not fraction or arrays.x_val is not None:
        return arrays
    first = validation_start(arrays.rows, fraction)
    if first in (0, arrays.rows):
        raise DatasetError(
            f"validation_split: {fraction} of {arrays.rows} rows leaves {first} for training and"
            f" {arrays.rows - first} for validation; choose another fraction"
        )
    return split_rows(arrays, slice(0, first), slice(first, arrays.rows))


def first_validation_rows(arrays: Arrays, rows: int) -> Arrays:
    """The same with at most `rows` validation rows, for Keras's validation_steps."""
    if rows_of(arrays.x_val) <= rows:
        return arrays
    roles = ("x_val", "y_val", "sample_weight_val")
    return replace(arrays, **{role: take(getattr(arrays, role), slice(rows)) for role in roles})


def split_rows(arrays: Arrays, train: slice | Array, held_out: slice | Array) -> Arrays:
    """The arrays with the training rows `train`, and the rows `held_out` for validation."""
    groups = None if arrays.groups is None else np.asarray(arrays.groups)[train]
    return replace(
        arrays,
        x=take(arrays.x, train),
        y=take(arrays.y, train),
        sample_weight=take(arrays.sample_weight, train),
        x_val=take(arrays.x, held_out),
        y_val=take(arrays.y, held_out),
        sample_weight_val=take(arrays.sample_weight, held_out),
        groups=groups,
    )
