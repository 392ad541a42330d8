"""How many dimensions a layer takes: said here where Keras would say it on the worker."""

from __future__ import annotations

import re
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.shapes import Inputs

_RECURRENT = ("LSTM", "GRU", "SimpleRNN")
_WINDOWED = re.compile(
    r"(Depthwise|Separable)?Conv([123])D(Transpose)?|(Global|Adaptive)?(Max|Average)Pooling([123])D"
    r"|(ZeroPadding|Cropping|UpSampling|SpatialDropout)([123])D"
)


def check_rank(layer: dict[str, Any], inputs: Inputs, place: str) -> None:
    """Raises SpecError if the layer's input is known to have too few or too many dimensions."""
    shape = inputs[0] if inputs else None
    if shape is None or layer.get("module") != "keras.layers":
        return
    name, inner = str(layer["class_name"]), (layer.get("config") or {}).get("layer")
    if name == "Bidirectional" and isinstance(inner, dict):
        name = str(inner.get("class_name"))
    shown = f"({', '.join('any' if size is None else str(size) for size in shape)})"
    if name in _RECURRENT and len(shape) != 2:
        way = (
            "; the recurrent layer before it needs return_sequences=True" if len(shape) < 2 else ""
        )
        raise SpecError(place, f"{name} takes rows of (steps, features), not of {shown}{way}")
    if _WINDOWED.fullmatch(name):
        rank = int(re.sub(r"\D", "", name)) + 1
        if len(shape) < rank:
            raise SpecError(
                place,
                f"{name} takes rows of {rank} dimensions, channels included, not of {shown}; a"
                " Reshape before it can add one",
            )
