"""How the shape of an operator's output follows from its arguments, operator by operator.

A rule sees the operator's config and its arguments, whole shapes (batch first) in place of tensors
and arrays; it raises ValueError or IndexError where Keras would refuse, and returns None where only
Keras can compute the shape.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from math import prod
from typing import Any

from fitfleet.spec.shape_rules.batch_shapes import (
    BATCH,
    Whole,
    axes_of,
    axis_of,
    broadcast,
    sliced,
    times,
    values_per_row,
    whole,
    wholes,
)

_Config = dict[str, Any]
Rule = Callable[[_Config, list[Any]], Any]


def _same(_: _Config, given: list[Any]) -> Whole:
    return whole(given[0])


def _elementwise(_: _Config, given: list[Any]) -> Whole | None:
    return broadcast([whole(value) for value in given if value is not None])


def _reduce(config: _Config, given: list[Any]) -> Whole:
    shape = whole(given[0])
    axes = axes_of(config.get("axis"), len(shape))
    if config.get("keepdims"):
        return tuple(1 if i in axes else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axes)


def _cumulated(config: _Config, given: list[Any]) -> Whole | None:
    return None if config.get("axis") is None else whole(given[0])


def _concatenate(config: _Config, given: list[Any]) -> Whole | None:
    shapes = wholes(given)
    axis = axis_of(config.get("axis", 0), len(shapes[0]))
    sizes = [shape[axis] for shape in shapes]
    out = list(shapes[0])
    known = [size for size in sizes if size is not None]
    out[axis] = sum(known) if len(known) == len(sizes) and BATCH not in known else None
    return None if BATCH in known else tuple(out)


def _stack(config: _Config, given: list[Any]) -> Whole:
    shapes = wholes(given)
    axis = axis_of(config.get("axis", 0), len(shapes[0]) + 1)
    return (*shapes[0][:axis], len(shapes), *shapes[0][axis:])


def _reshape(config: _Config, given: list[Any]) -> Whole | None:
    shape, target = whole(given[0]), list(config["newshape"])
    values, free = values_per_row(shape), [i for i, size in enumerate(target) if size in (None, -1)]
    rest = prod(size for size in target if size not in (None, -1))
    if values is None or not rest or free[:1] != [0] or (len(free) == 1 and rest != values):
        return None
    target = [None if size == -1 else size for size in target]
    return (BATCH, *target[1:])


def _transpose(config: _Config, given: list[Any]) -> Whole:
    shape = whole(given[0])
    axes = config.get("axes")
    order = range(len(shape))[::-1] if axes is None else [axis_of(a, len(shape)) for a in axes]
    return tuple(shape[i] for i in order)


def _swapped(config: _Config, given: list[Any]) -> Whole:
    shape = list(whole(given[0]))
    first, second = (axis_of(config[name], len(shape)) for name in ("axis1", "axis2"))
    shape[first], shape[second] = shape[second], shape[first]
    return tuple(shape)


def _expanded(config: _Config, given: list[Any]) -> Whole:
    shape = whole(given[0])
    axes = config["axis"] if isinstance(config["axis"], list) else [config["axis"]]
    places = {axis_of(axis, len(shape) + len(axes)) for axis in axes}
    rest = iter(shape)
    return tuple(1 if i in places else next(rest) for i in range(len(shape) + len(places)))


def _squeezed(config: _Config, given: list[Any]) -> Whole:
    shape, axis = whole(given[0]), config.get("axis")
    if axis is None:
        return tuple(size for size in shape if size != 1)
    axes = axes_of(axis, len(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axes)


def _matmul(_: _Config, given: list[Any]) -> Whole | None:
    left, right = whole(given[0]), whole(given[1])
    if len(left) < 2 or len(right) < 2:
        return None
    outer = broadcast([left[:-2], right[:-2]]) if left[:-2] or right[:-2] else ()
    return None if outer is None else (*outer, left[-2], right[-1])


def _dot(_: _Config, given: list[Any]) -> Whole:
    left, right = whole(given[0]), whole(given[1])
    if not right:
        return left
    return (*left[:-1], *(right[:-2] + right[-1:] if len(right) > 1 else ()))


def _einsum(config: _Config, given: list[Any]) -> Whole | None:
    text = str(config["subscripts"]).replace(" ", "")
    left, arrow, out = text.partition("->")
    terms, shapes = left.split(","), wholes(given)
    if not arrow or set(text) - set(string.ascii_letters + ",->") or len(terms) != len(shapes):
        return None
    sizes = {
        letter: size
        for term, shape in zip(terms, shapes, strict=True)
        for letter, size in zip(term, shape, strict=True)
    }
    return tuple(sizes[letter] for letter in out)


def _item(_: _Config, given: list[Any]) -> Whole | None:
    shape, keys = list(whole(given[0])), given[1]
    keys = list(keys) if isinstance(keys, list) else [keys]
    dots = [i for i, key in enumerate(keys) if _class(key) == "__ellipsis__"]
    if dots:
        taken = sum(key is not None for key in keys) - 1
        everything = {"class_name": "__slice__", "config": {}}
        keys[dots[0] : dots[0] + 1] = [everything] * (len(shape) - taken)
    out: list[int | None] = []
    for key in keys:
        if key is None:
            out.append(1)
            continue
        size = shape.pop(0)
        if _class(key) == "__slice__":
            out.append(sliced(size, key["config"]))
        elif type(key) is not int:
            return None
    return (*out, *shape)


def _class(value: Any) -> Any:
    return value.get("class_name") if isinstance(value, dict) else None


def _one_hot(config: _Config, given: list[Any]) -> Whole:
    shape, classes = whole(given[0]), int(config["num_classes"])
    axis = axis_of(config.get("axis", -1), len(shape) + 1)
    return (*shape[:axis], classes, *shape[axis:])


def _padded(config: _Config, given: list[Any]) -> Whole:
    shape, width = whole(given[0]), config["pad_width"]
    if isinstance(width, int):
        width = [width, width]
    rows = width if isinstance(width[0], list) else [width]
    rows = rows * len(shape) if len(rows) == 1 else rows
    return tuple(
        size if not sum(row) else None if size in (None, BATCH) else size + sum(row)
        for size, row in zip(shape, rows, strict=True)
    )


def _repeated(config: _Config, given: list[Any]) -> Whole | None:
    if config.get("axis") is None or type(config["repeats"]) is not int:
        return None
    shape = list(whole(given[0]))
    axis = axis_of(config["axis"], len(shape))
    shape[axis] = times(shape[axis], config["repeats"])
    return tuple(shape)


def _tiled(config: _Config, given: list[Any]) -> Whole:
    shape, repeats = whole(given[0]), config["repeats"]
    repeats = list(repeats) if isinstance(repeats, list) else [repeats]
    rank = max(len(shape), len(repeats))
    shape = (1,) * (rank - len(shape)) + shape
    repeats = [1] * (rank - len(repeats)) + repeats
    return tuple(times(size, n) for size, n in zip(shape, repeats, strict=True))


def _split(config: _Config, given: list[Any]) -> list[Whole] | None:
    shape, parts = list(whole(given[0])), config["indices_or_sections"]
    axis = axis_of(config.get("axis", 0), len(shape))
    size = shape[axis]
    if size is None or size == BATCH:
        return None
    each = size if isinstance(parts, list) else size // parts
    ends = [*parts, size] if isinstance(parts, list) else list(range(each, size + 1, each))
    begins = [0, *ends[:-1]]
    return [
        (*shape[:axis], end - begin, *shape[axis + 1 :])
        for begin, end in zip(begins, ends, strict=True)
    ]


def _unstacked(config: _Config, given: list[Any]) -> list[Whole] | None:
    shape = whole(given[0])
    axis = axis_of(config.get("axis", 0), len(shape))
    size = shape[axis]
    if size is None or size == BATCH:
        return None
    return [(*shape[:axis], *shape[axis + 1 :])] * size


def _top_k(config: _Config, given: list[Any]) -> list[Whole]:
    shape = (*whole(given[0])[:-1], int(config["k"]))
    return [shape, shape]


def _taken(config: _Config, given: list[Any]) -> Whole | None:
    shape, taken = whole(given[0]), whole(given[1])
    if config.get("axis") is None:
        return None
    axis = axis_of(config["axis"], len(shape))
    return (*shape[:axis], *taken, *shape[axis + 1 :])


def _first(_: _Config, given: list[Any]) -> Whole:
    return whole(given[0])


BY_KIND: dict[str, Rule] = {"same": _same, "broadcast": _elementwise, "reduce": _reduce}
RULES: dict[str, Rule] = {
    **dict.fromkeys(("Clip", "BatchNorm", "LayerNorm", "RMSNorm", "DotProductAttention"), _first),
    **dict.fromkeys(("Cumsum", "Cumprod", "Nancumsum", "Nancumprod"), _cumulated),
    "Where": _elementwise,
    "Concatenate": _concatenate,
    "Stack": _stack,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Swapaxes": _swapped,
    "ExpandDims": _expanded,
    "Squeeze": _squeezed,
    "Matmul": _matmul,
    "Dot": _dot,
    "Einsum": _einsum,
    "GetItem": _item,
    "OneHot": _one_hot,
    "Pad": _padded,
    "Repeat": _repeated,
    "Tile": _tiled,
    "Split": _split,
    "Unstack": _unstacked,
    "TopK": _top_k,
    "Take": _taken,
    "CountNonzero": _reduce,
}
