"""Output shapes of Keras's operators (`keras.ops`) in a Functional model, without Keras.

Operators work on whole arrays, so shapes here begin with the batch, whose size is BATCH. An unknown
size or shape is None; a result whose first axis is not the batch is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fitfleet.spec.keras_names import catalog
from fitfleet.spec.shape_rules.batch_shapes import BATCH, Whole
from fitfleet.spec.shape_rules.operation_rules import BY_KIND, RULES
from fitfleet.spec.shape_rules.shapes import Outcome, Shape, single

_ARRAYS = ("__numpy__", "__tensor__")


def operation_outcome(
    operation: dict[str, Any], node: dict[str, Any], shape_of: Callable[[Any], Shape | None]
) -> Outcome:
    """The outcome of a call of an operator; `shape_of` is called with tensors' documents."""
    name, config = str(operation["class_name"]), operation.get("config") or {}
    row = catalog.operation(str(operation.get("module")), name) or {}
    arguments = [*(node.get("args") or ()), *(node.get("kwargs") or {}).values()]
    given = [_given(value, shape_of) for value in arguments]
    rule = RULES.get(name) or BY_KIND.get(row.get("rule", ""))
    try:
        shapes = rule(config, given) if rule else None
    except (IndexError, KeyError, TypeError, ValueError):
        shapes = None  # Keras refuses these arguments, or interprets them otherwise
    if isinstance(shapes, list):
        return Outcome(tuple(_batchless(shape) for shape in shapes))
    return single(_batchless(shapes))


def _batchless(shape: Whole | None) -> Shape | None:
    if not shape or shape[0] != BATCH or BATCH in shape[1:]:
        return None
    return shape[1:]


def _given(value: Any, shape_of: Callable[[Any], Shape | None]) -> Any:
    """An argument with shapes (tuples) in place of tensors and arrays; "?" for an unknown shape."""
    if isinstance(value, dict):
        name = value.get("class_name")
        if name == "__keras_tensor__":
            shape = shape_of(value)
            return "?" if shape is None else (BATCH, *shape)
        if name in _ARRAYS:
            return _array_shape(value["config"].get("value"))
        return value
    if isinstance(value, list):
        return [_given(part, shape_of) for part in value]
    return value


def _array_shape(value: Any) -> Whole:
    if not isinstance(value, list):
        return ()
    return (len(value), *(_array_shape(value[0]) if value else ()))
