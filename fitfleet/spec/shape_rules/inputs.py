"""The Input of a Sequential without one, from the shape of the data."""

from __future__ import annotations

from typing import Any

from fitfleet.spec.keras_objects.canonical import model_kind

_DTYPES = (
    *("float16", "float32", "bool", "string"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


def with_input(config: dict[str, Any], shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """The canonical config with an Input for rows of this shape, if it has none."""
    dtype = "string" if dtype.lstrip("|").startswith("S") else dtype
    if model_kind(config) != "Sequential" or dtype not in _DTYPES:
        return config
    layers = config["config"].get("layers")
    is_declared = "build_input_shape" in config["config"] or not isinstance(layers, list)
    if is_declared or not layers or not isinstance(layers[0], dict):
        return config
    if layers[0].get("class_name") == "InputLayer" or model_kind(layers[0]) is not None:
        return config
    given: dict[str, Any] = {"batch_shape": [None, *shape], "name": "input_layer"}
    if dtype != "float32":
        given["dtype"] = dtype
    first = {"module": "keras.layers", "class_name": "InputLayer", "config": given}
    return {**config, "config": {**config["config"], "layers": [first, *layers]}}
