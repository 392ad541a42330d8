"""Dropout rates and regularization factors in a model's config.

A traced program can have these numbers as variables, so models that differ only in them can share
it. A rate or factor of zero is not among them, as Keras then builds another graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fitfleet.spec.job import JobSpec

_RATES = {
    **dict.fromkeys(
        ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), ("rate",)
    ),
    **dict.fromkeys(
        (
            *("LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell"),
            *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
        ),
        ("dropout", "recurrent_dropout"),
    ),
}
_FACTORS = {"L1": ("l1",), "L2": ("l2",), "L1L2": ("l1", "l2")}


_PRECISIONS = (None, "float32", "float64")


def separated(spec: JobSpec) -> tuple[Any, list[float]]:
    """`separate` of a spec's model: the scalars that a program may have as variables.

    There are none in half precision, where constants and variables round differently.
    """
    if spec.dtype_policy not in _PRECISIONS:
        return spec.model.config, []
    return separate(spec.model.config)


def separate(config: Any) -> tuple[Any, list[float]]:
    """The config with None in place of each tunable scalar, and the scalars in their order."""
    scalars: list[float] = []

    def take(value: float) -> None:
        scalars.append(value)

    return _replaced(config, take), scalars


def fill(config: Any, values: Sequence[float]) -> Any:
    """The config with other scalars, in the order of `separate`."""
    remaining = iter(values)
    return _replaced(config, lambda _: next(remaining))


def _replaced(node: Any, replace: Callable[[float], Any]) -> Any:
    if isinstance(node, list):
        return [_replaced(part, replace) for part in node]
    if not isinstance(node, dict):
        return node
    name, config = node.get("class_name"), node.get("config")
    if not isinstance(name, str) or not isinstance(config, dict):
        return _in_order(node, lambda key: _replaced(node[key], replace))
    return {**node, "config": _config_replaced(name, config, replace)}


def _config_replaced(name: str, config: dict[str, Any], replace: Callable[[float], Any]) -> Any:
    rates, factors = _RATES.get(name, ()), _FACTORS.get(name, ())

    def replaced(key: str) -> Any:
        value = config[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_rate = key in rates and is_number and 0 < value < 1
        if is_rate or (key in factors and is_number and value > 0):
            return replace(float(value))
        return _replaced(value, replace)

    return _in_order(config, replaced)


def _in_order(node: dict[str, Any], visit: Callable[[str], Any]) -> dict[str, Any]:
    """Replace the scalars in the order of sorted names; the order of the document stays."""
    visited = {key: visit(key) for key in sorted(node)}
    return {key: visited[key] for key in node}
