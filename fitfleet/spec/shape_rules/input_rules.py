"""The input shapes that layers take: checked here, as Keras checks them only on a worker."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.shape_rules.shapes import Inputs, Outcome, Shape

_RECURRENT = ("LSTM", "GRU", "SimpleRNN")
_CONV_LSTM = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells")
# Layers of several inputs, which cannot be in a Sequential.
_SEVERAL = frozenset(
    """
    Add Subtract Multiply Average Maximum Minimum Concatenate Dot Attention AdditiveAttention
    MultiHeadAttention GroupQueryAttention HashedCrossing
    """.split()  # noqa: SIM905
)
_WINDOWED = re.compile(
    r"(Depthwise|Separable)?Conv([123])D(Transpose)?|(Global|Adaptive)?(Max|Average)Pooling([123])D"
    r"|(ZeroPadding|Cropping|UpSampling|SpatialDropout)([123])D"
)


def check_rank(layer: dict[str, Any], inputs: Inputs, place: str) -> None:
    """Raises SpecError if the layer's input is known to have too few or too many dimensions."""
    if layer.get("module") != "keras.layers":
        return
    name, inner = str(layer["class_name"]), (layer.get("config") or {}).get("layer")
    _check_inner(name, layer.get("config") or {}, place)
    shape = inputs[0] if inputs else None
    if shape is None:
        return
    if name == "Bidirectional" and isinstance(inner, dict):
        name = str(inner.get("class_name"))
    if name in _RECURRENT and len(shape) != 2:
        hint = (
            "; the recurrent layer before it needs return_sequences=True" if len(shape) < 2 else ""
        )
        raise SpecError(
            place, f"{name} takes rows of (steps, features), not of {_shown(shape)}{hint}"
        )
    if name == "TimeDistributed" and len(shape) < 2:
        raise SpecError(place, f"{name} takes rows of several steps, not of {_shown(shape)}")
    if _WINDOWED.fullmatch(name):
        rank = int(re.sub(r"\D", "", name)) + 1
        if len(shape) < rank:
            raise SpecError(
                place,
                f"{name} takes rows of {rank} dimensions, channels included, not of"
                f" {_shown(shape)}; a Reshape before it can add one",
            )


def check_single(layer: dict[str, Any], place: str) -> None:
    """Raises SpecError for a layer of several inputs that is called with one."""
    if layer.get("module") == "keras.layers" and layer["class_name"] in _SEVERAL:
        raise SpecError(
            place,
            f"{layer['class_name']} needs several inputs, and a Sequential passes on one; give the"
            " model as a Functional one, keras.Model(inputs, outputs)",
        )


def check_sizes(layer: dict[str, Any], inputs: Inputs, outcome: Outcome, place: str) -> None:
    """Raises SpecError if a window is larger than what it slides over, or values do not add up."""
    shape, out = inputs[0] if inputs else None, outcome.shape
    if shape is None or out is None or layer.get("module") != "keras.layers" or 0 in shape:
        return
    if 0 in out:
        raise SpecError(
            place,
            f"{layer['class_name']} has an empty output for rows of {_shown(shape)}; take a smaller"
            " window or fewer of them one after the other, or padding='same' where it has one",
        )
    is_known = None not in shape and None not in out
    if layer["class_name"] == "Reshape" and is_known and _values(shape) != _values(out):
        raise SpecError(
            place,
            f"Reshape of rows of {_shown(shape)}, {_values(shape):,} values, to"
            f" {_shown(out)}, {_values(out):,}; both must have as many",
        )


def _check_inner(name: str, config: dict[str, Any], place: str) -> None:
    """Raises SpecError for a wrapper of recurrent layers around another layer."""
    key, known = {
        "Bidirectional": ("layer", (*_RECURRENT, *_CONV_LSTM, "RNN")),
        "RNN": ("cell", _CELLS),
    }.get(name, ("", ()))
    inner = config.get(key)
    if not isinstance(inner, dict) or inner.get("module") != "keras.layers":
        return
    if inner.get("class_name") not in known:
        raise SpecError(
            f"{place}.{key}", f"{inner.get('class_name')} is not one of {', '.join(known)}"
        )


def _values(shape: Shape) -> int:
    return prod(size or 0 for size in shape)


def _shown(shape: Shape) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
