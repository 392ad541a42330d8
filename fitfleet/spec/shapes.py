"""Shapes and numbers of weights of Keras's layers, without Keras.

A shape is without the batch dimension, None standing for a free dimension. What is not known
here is None, never a guess; a number of weights is then a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

Shape = tuple[int | None, ...]
Outcome = tuple[Shape | None, int]

_SAME_SHAPE = frozenset(
    (
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "GaussianNoise",
        "GaussianDropout",
        "AlphaDropout",
        "Activation",
        "ReLU",
        "LeakyReLU",
        "ELU",
        "Softmax",
        "Masking",
        "ActivityRegularization",
        "UnitNormalization",
        "Rescaling",
        "BatchNormalization",
        "LayerNormalization",
        "GroupNormalization",
        "RMSNormalization",
        "Identity",
        "PReLU",
    )
)
_GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


def shape_and_weights(
    layer: dict[str, Any], shape: Shape | None, defaults: Callable[[str], dict[str, Any]]
) -> Outcome:
    """Output shape and number of weights of a layer with this input shape.

    `defaults` gives the default arguments of a class.
    """
    name = str(layer["class_name"])
    config = {**defaults(name), **(layer.get("config") or {})}
    if name in ("Bidirectional", "TimeDistributed"):
        return _wrapper(name, config, shape, defaults)
    if name == "RNN":
        return _rnn(config, shape)
    if name in _SAME_SHAPE:
        return shape, _normalisation(name, config, shape)
    rule = _RULES.get(name)
    return rule(name, config, shape) if rule else (None, 0)


def _last(shape: Shape | None) -> int:
    return (shape[-1] if shape else None) or 0


def _normalisation(name: str, config: dict[str, Any], shape: Shape | None) -> int:
    last = _last(shape)
    if name == "BatchNormalization":
        return last * (2 + bool(config.get("scale", True)) + bool(config.get("center", True)))
    if name in ("LayerNormalization", "GroupNormalization"):
        return last * (bool(config.get("scale", True)) + bool(config.get("center", True)))
    return 0


def _dense(_: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    units = config["units"]
    weights = (_last(shape) + bool(config.get("use_bias", True))) * units
    return (None if shape is None else (*shape[:-1], units)), weights


def _recurrent(name: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    units = config["units"]
    biases = int(bool(config.get("use_bias", True)))
    if name == "GRU" and config.get("reset_after", True):
        biases *= 2
    weights = _GATES[name] * units * (_last(shape) + units + biases)
    return _sequence(config, shape, units), weights


def _sequence(config: dict[str, Any], shape: Shape | None, units: int) -> Shape | None:
    if config.get("return_state"):
        return None  # several outputs
    if config.get("return_sequences"):
        return None if shape is None else (shape[0], units)
    return (units,)


def _rnn(config: dict[str, Any], shape: Shape | None) -> Outcome:
    cell = config.get("cell") or {}
    cells = cell.get("config", {}).get("cells") or [cell]
    weights, last, units = 0, _last(shape), None
    for one in cells:
        name = str(one.get("class_name", "")).removesuffix("Cell")
        if name not in _GATES:
            return None, weights
        settings = one.get("config", {})
        _, more = _recurrent(name, settings, (None, last))
        weights, units = weights + more, settings["units"]
        last = units
    return (None if units is None else _sequence(config, shape, units)), weights


def _wrapper(
    name: str,
    config: dict[str, Any],
    shape: Shape | None,
    defaults: Callable[[str], dict[str, Any]],
) -> Outcome:
    inner = config.get("layer") or {}
    if name == "TimeDistributed":
        step = shape[1:] if shape else None
        out, weights = shape_and_weights(inner, step, defaults)
        return (None if shape is None or out is None else (shape[0], *out)), weights
    out, weights = shape_and_weights(inner, shape, defaults)
    mode = config.get("merge_mode", "concat")
    if out is None or mode is None:
        return None, 2 * weights
    last = out[-1]
    doubled = None if last is None else last * 2
    return ((*out[:-1], doubled) if mode == "concat" else out), 2 * weights


def _embedding(_: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    size = config["output_dim"]
    return (None if shape is None else (*shape, size)), config["input_dim"] * size


def _flatten(_: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    if shape is None or None in shape:
        return None, 0
    return (prod(size for size in shape if size is not None),), 0


def _reshape(_: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    target = list(config["target_shape"])
    if -1 not in target:
        return tuple(target), 0
    if shape is None or None in shape:
        return None, 0
    known = prod(size for size in target if size != -1)
    whole = prod(size for size in shape if size is not None)
    return tuple(whole // max(known, 1) if size == -1 else size for size in target), 0


def _repeat(_: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    return (None if shape is None else (config["n"], *shape)), 0


def _permute(_: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    return (None if shape is None else tuple(shape[d - 1] for d in config["dims"])), 0


def _rank(name: str) -> int:
    return next(int(char) for char in name if char.isdigit())


def _tuple(value: Any, rank: int) -> list[int]:
    return list(value) if isinstance(value, list | tuple) else [int(value)] * rank


def _length(size: int | None, window: int, stride: int, dilation: int, padding: str) -> int | None:
    if size is None:
        return None
    if padding in ("same", "causal"):
        return -(-size // stride)
    return (size - dilation * (window - 1) - 1) // stride + 1


def _slide(
    config: dict[str, Any], shape: Shape | None, rank: int, window: Any, channels: int | None
) -> Shape | None:
    """Shape after a window has slid over the inner dimensions; channels come last."""
    if shape is None or config.get("data_format") == "channels_first" or len(shape) != rank + 1:
        return None
    windows = _tuple(window, rank)
    strides = windows if config.get("strides") is None else _tuple(config["strides"], rank)
    dilations = _tuple(config.get("dilation_rate", 1), rank)
    padding = str(config.get("padding", "valid"))
    inner = [
        _length(*row, padding) for row in zip(shape, windows, strides, dilations, strict=False)
    ]
    return (*inner, channels if channels is not None else shape[-1])


def _convolution(name: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    rank, filters = _rank(name), config["filters"]
    window = _tuple(config["kernel_size"], rank)
    groups = config.get("groups") or 1
    bias = filters if config.get("use_bias", True) else 0
    weights = prod(window) * (_last(shape) // groups) * filters + bias
    return _slide(config, shape, rank, window, filters), weights


def _pooling(name: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    if name.startswith("Global"):
        return (None if shape is None else (shape[-1],)), 0
    return _slide(config, shape, _rank(name), config["pool_size"], None), 0


def _conv_lstm(name: str, config: dict[str, Any], shape: Shape | None) -> Outcome:
    rank, filters = _rank(name), config["filters"]
    window = prod(_tuple(config["kernel_size"], rank))
    bias = 4 * filters if config.get("use_bias", True) else 0
    weights = 4 * filters * window * (_last(shape) + filters) + bias
    inner = _slide(config, shape[1:] if shape else None, rank, config["kernel_size"], filters)
    if inner is None or shape is None or config.get("return_state"):
        return None, weights
    return ((shape[0], *inner) if config.get("return_sequences") else inner), weights


_RULES: dict[str, Callable[[str, dict[str, Any], Shape | None], Outcome]] = {
    "Dense": _dense,
    **dict.fromkeys(_GATES, _recurrent),
    "Embedding": _embedding,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "RepeatVector": _repeat,
    "Permute": _permute,
    **{f"Conv{d}D": _convolution for d in (1, 2, 3)},
    **{f"ConvLSTM{d}D": _conv_lstm for d in (1, 2, 3)},
    **{f"{kind}Pooling{d}D": _pooling for kind in ("Max", "Average") for d in (1, 2, 3)},
    **{f"Global{kind}Pooling{d}D": _pooling for kind in ("Max", "Average") for d in (1, 2, 3)},
}
