"""Shapes with the batch axis first: of arguments, of their broadcast, and of slices of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

BATCH = -1  # the size of the batch axis: no other axis has it
Whole = tuple[int | None, ...]


def whole(value: Any) -> Whole:
    """The shape of an argument that is a tensor, an array or a number. Raises ValueError."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, bool | int | float):
        return ()
    if isinstance(value, list) and all(isinstance(part, bool | int | float) for part in value):
        return (len(value),)
    raise ValueError(value)


def wholes(given: list[Any]) -> list[Whole]:
    """The shapes of a list of such arguments. Raises ValueError."""
    parts = given[0] if given and isinstance(given[0], list) else given
    return [whole(part) for part in parts]


def broadcast(shapes: Sequence[Whole]) -> Whole | None:
    """The shape by NumPy's broadcasting; None if it fails, or may fail for some sizes."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    out: list[int | None] = []
    for sizes in zip(*padded, strict=True):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            others.discard(None)
        if len(others) > 1:
            return None
        out.append(others.pop() if others else 1)
    return tuple(out)


def axis_of(axis: Any, rank: int) -> int:
    """An axis counted from the front. Raises IndexError if there is none."""
    if type(axis) is not int or not -rank <= axis < rank:
        raise IndexError(axis)
    return axis % rank


def axes_of(axis: Any, rank: int) -> set[int]:
    """One axis, several, or all for None, counted from the front. Raises IndexError."""
    if axis is None:
        return set(range(rank))
    return {axis_of(index, rank) for index in (axis if isinstance(axis, list) else [axis])}


def values_per_row(shape: Sequence[int | None]) -> int | None:
    """The number of values of a row, for a shape that begins with the batch."""
    rest = shape[1:]
    return None if not shape or shape[0] != BATCH or None in rest else prod(s or 0 for s in rest)


def sliced(size: int | None, part: dict[str, Any]) -> int | None:
    """The size of an axis after a slice; None if unknown."""
    ends = (part.get("start"), part.get("stop"), part.get("step"))
    if ends == (None, None, None):
        return size
    if size is None or size == BATCH:
        return None
    return len(range(*slice(*ends).indices(size)))


def times(size: int | None, factor: int) -> int | None:
    """The size of an axis repeated `factor` times; None if unknown."""
    if size is None or factor == 1:
        return size
    return None if size == BATCH else size * factor
