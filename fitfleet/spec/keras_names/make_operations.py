"""The operators that a Functional model may contain, from the Keras installed here.

A part of `make_signatures`. Every class of `keras.src.ops` is in the table or, with a reason, in
`disallowed_names`; a test checks that.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from typing import Any

from fitfleet.spec.keras_names.disallowed_names import OPERATIONS

MODULES = ("core", "image", "linalg", "math", "nn", "numpy")
# A value for each argument without a default, only to compute output shapes.
_SAMPLES: dict[str, Any] = {
    **{"axis": -1, "axis1": 0, "axis2": 1, "decimals": 1, "shift": 1, "kth": 1, "threshold": 0.5},
    **{"default_value": 0.0, "dtype": "float32", "max_val": 1.0, "x_min": 0.0, "x_max": 1.0},
}
_SHAPES: tuple[tuple[int, ...], ...] = ((2, 3, 4), (5, 1), (4, 1, 3))
_PAIRS = (((2, 3, 4), (3, 1)), ((5,), (2, 5)), ((2, 1), (1, 7)))
_BROADCAST = ((2, 3, 4), (2, 5), (2, 7))


def operations() -> dict[str, Any]:
    """{module: {class: {"arguments", "rule"}}}; the rule says how the output's shape follows."""
    return {f"keras.src.ops.{module}": _of(module) for module in MODULES}


def classes(module: str) -> dict[str, Any]:
    """All classes of operators that a module of Keras defines."""
    source = importlib.import_module(f"keras.src.ops.{module}")
    parent = importlib.import_module("keras.src.ops.operation").Operation
    return {
        name: value
        for name, value in vars(source).items()
        if inspect.isclass(value)
        and issubclass(value, parent)
        and value.__module__ == source.__name__
    }


def _of(module: str) -> dict[str, Any]:
    operations = {}
    for name, cls in sorted(classes(module).items()):
        if name not in OPERATIONS:
            parameters = inspect.signature(cls.__init__).parameters.values()
            names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
            operations[name] = {"arguments": names[1:], "rule": _rule(cls)}
    return operations


def _rule(cls: Any) -> str | None:
    """`same`, `broadcast` or `reduce`, inferred from Keras's output shapes for a few inputs."""
    arguments = {
        p.name: _SAMPLES.get(p.name)
        for p in inspect.signature(cls.__init__).parameters.values()
        if p.name != "self" and p.default is p.empty and p.kind is not p.VAR_KEYWORD
    }
    if _gives(cls, arguments, [(shape,) for shape in _SHAPES], _SHAPES):
        return "same"
    if _gives(cls, arguments, _PAIRS, _BROADCAST):
        return "broadcast"
    kept = {**arguments, "axis": 1, "keepdims": True}
    if _gives(cls, {**arguments, "axis": 1}, [((2, 3, 4),)], [(2, 4)]) and _gives(
        cls, kept, [((2, 3, 4),)], [(2, 1, 4)]
    ):
        return "reduce"
    return None


def _gives(cls: Any, arguments: dict[str, Any], inputs: Any, outputs: Any) -> bool:
    tensor = importlib.import_module("keras").KerasTensor

    def shape_of(shapes: Any, dtype: str) -> Any:
        given = [tensor(shape, dtype) for shape in shapes]
        return tuple(cls(**arguments).compute_output_spec(*given).shape)

    for dtype in ("float32", "int32"):
        with contextlib.suppress(Exception):  # Keras raises errors of many classes: "not this rule"
            if all(
                shape_of(*row[:1], dtype) == row[1] for row in zip(inputs, outputs, strict=True)
            ):
                return True
    return False
