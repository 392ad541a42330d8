"""A dataset as described from its file: arrays, roles, rows, fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from fitfleet.data.formats.source import Leaf
from fitfleet.data.formats.statistics import ArrayInfo as ArrayInfo
from fitfleet.errors import DatasetError
from fitfleet.spec.job import DatasetSpec

# A role as DatasetSpec states it, and the same structure with other values at the leaves.
Role = str | list[str] | dict[str, Any] | Literal[False] | None
Structure = Any


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset, read and checked.

    `arrays` describes the arrays of the file that have a role, by name (a list of table columns
    by its names, joined by ", "). The roles (`x`, `y`, ...) have the structure that `dataset`
    declares, an ArrayInfo at each leaf, as the model sees them: windows are applied, folds and
    validation_split are not. `rows`, `val_rows` and `test_rows` count the same way.
    """

    fingerprint: str
    dataset: DatasetSpec
    arrays: dict[str, ArrayInfo]
    rows: int
    x: Structure
    y: Structure = None
    sample_weight: Structure = None
    x_val: Structure = None
    y_val: Structure = None
    sample_weight_val: Structure = None
    x_test: Structure = None
    y_test: Structure = None
    groups: ArrayInfo | None = None
    val_rows: int = 0
    test_rows: int = 0
    is_table: bool = False
    warnings: list[str] = field(default_factory=list)


def is_text(array: ArrayInfo) -> bool:
    """Whether an array holds texts: byte strings of UTF-8."""
    return array.dtype.lstrip("|").startswith("S")


def map_role(role: Role, is_table: bool, apply: Callable[[Leaf], Any]) -> Structure:
    """The role's structure with `apply(leaf)` at each leaf; None for a role without arrays.

    In a table a list of columns is one leaf, else a list is several arrays.
    """
    if role is None or role is False:
        return None
    if isinstance(role, dict):
        return {name: map_role(value, is_table, apply) for name, value in role.items()}
    if isinstance(role, str):
        return apply(role)
    if not isinstance(role, list) or not role or not all(isinstance(n, str) for n in role):
        raise DatasetError(
            f"dataset: {role!r} names no array; give a name, a list of names or"
            " {input name: array name}"
        )
    return apply(tuple(role)) if is_table else [apply(name) for name in role]


def flatten(structure: Structure) -> list[Any]:
    """The leaves of a role's structure, in order; [] for None."""
    if structure is None:
        return []
    if isinstance(structure, dict):
        return [leaf for value in structure.values() for leaf in flatten(value)]
    if isinstance(structure, list):
        return [leaf for value in structure for leaf in flatten(value)]
    return [structure]


def map_structure(structure: Structure, apply: Callable[[Any], Any]) -> Structure:
    """The same structure with `apply` at each leaf."""
    if structure is None:
        return None
    if isinstance(structure, dict):
        return {name: map_structure(value, apply) for name, value in structure.items()}
    if isinstance(structure, list):
        return [map_structure(value, apply) for value in structure]
    return apply(structure)


def with_leaves(structure: Structure, leaves: Iterable[Any]) -> Structure:
    """The same structure with these leaves, in the order of `flatten`."""
    remaining = iter(leaves)
    return map_structure(structure, lambda _: next(remaining))


def array_key(leaf: Leaf) -> str:
    """The name of a leaf in `DatasetInfo.arrays`."""
    return leaf if isinstance(leaf, str) else ", ".join(leaf)
