"""The rows that a layer sees, read as they are asked for: what `adapt` is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitfleet.data.rows.streams import Stream
from fitfleet.errors import SpecError

BATCH = 4096


@dataclass(frozen=True)
class Rows:
    """The rows of one tensor."""

    count: int
    read: Callable[[slice], Any]  # some of them, as an array

    @property
    def nbytes(self) -> int:
        """Of all rows, as the first ones tell."""
        head = self.read(slice(0, BATCH))
        return int(head.nbytes) * self.count // max(1, len(head))

    def batches(self) -> Iterator[Any]:
        """All rows in their order."""
        return (self.read(slice(i, i + BATCH)) for i in range(0, self.count, BATCH))


def inputs(x: Any) -> list[Rows]:
    """Of each input of a model."""
    leaves = list(x.values()) if isinstance(x, dict) else x if isinstance(x, list) else [x]
    return [leaf if isinstance(leaf, Rows) else _of_array(leaf) for leaf in leaves]


def _of_array(array: Any) -> Rows:
    if isinstance(array, Stream):
        return Rows(len(array), lambda part: array.take(np.arange(len(array))[part]))
    # In one piece: NumPy sums what lies otherwise in another order.
    return Rows(len(array), lambda part: np.ascontiguousarray(array[part]))


def steps(rows: Rows) -> Rows:
    """Every time step as a row: (rows, steps, ...) as (rows * steps, ...), in this order."""
    length = rows.read(slice(0, 1)).shape[1]

    def read(part: slice) -> Any:
        first, stop, _ = part.indices(rows.count * length)
        start = first // length
        block = rows.read(slice(start, -(-stop // length)))
        flat = block.reshape(-1, *block.shape[2:])
        return flat[first - start * length : stop - start * length]

    return Rows(rows.count * length, read)


def following(parts: Sequence[Rows], wanted_by: str) -> Rows:
    """Those of several calls of one layer, the first call's first. SpecError for other shapes."""
    if len(parts) == 1:
        return parts[0]
    shapes = {rows.read(slice(0, 1)).shape[1:] for rows in parts}
    if len(shapes) > 1:
        shapes_text = " and ".join(map(str, sorted(shapes)))
        raise SpecError(
            "adapt",
            f"{wanted_by!r} is called with rows of {shapes_text}; adapt it yourself to one kind",
        )
    starts = np.cumsum([0, *(rows.count for rows in parts)]).tolist()

    def read(part: slice) -> Any:
        first, stop, _ = part.indices(starts[-1])
        pieces = [
            rows.read(slice(max(first - start, 0), min(stop - start, rows.count)))
            for rows, start in zip(parts, starts, strict=False)
            if first < start + rows.count and stop > start
        ]
        return np.concatenate(pieces) if pieces else parts[0].read(slice(0, 0))

    return Rows(starts[-1], read)
