"""Shapes and weights of layers that slide a window: convolutions, pooling, padding, cropping."""

from __future__ import annotations

from math import prod
from typing import Any

from fitfleet.spec.shape_rules.shapes import (
    Config,
    Inputs,
    Outcome,
    Rule,
    Shape,
    first,
    has_bias,
    single,
)

Size = int | None


def rank_of(name: str) -> int:
    """The number of inner dimensions by a layer's name: Conv2D → 2."""
    return next(int(char) for char in name if char.isdigit())


def repeated(value: Any, rank: int) -> list[int]:
    """A number for each inner dimension: 3 → [3, 3]."""
    return [int(part) for part in value] if isinstance(value, list | tuple) else [int(value)] * rank


def split(shape: Shape | None, config: Config, rank: int) -> tuple[list[Size], Size] | None:
    """Inner dimensions and channels of an image-like shape; None if it has another rank."""
    if shape is None or len(shape) != rank + 1:
        return None
    if config.get("data_format") == "channels_first":
        return list(shape[1:]), shape[0]
    return list(shape[:-1]), shape[-1]


def joined(inner: list[Size], channels: Size, config: Config) -> Shape:
    """The shape from inner dimensions and channels."""
    if config.get("data_format") == "channels_first":
        return (channels, *inner)
    return (*inner, channels)


def slid(inner: list[Size], window: list[int], config: Config, strides: list[int]) -> list[Size]:
    """The inner dimensions of the output of a sliding window."""
    dilations = repeated(config.get("dilation_rate") or 1, len(inner))
    padding = str(config.get("padding", "valid"))
    return [_slid(*row, padding) for row in zip(inner, window, strides, dilations, strict=False)]


def _slid(size: Size, window: int, stride: int, dilation: int, padding: str) -> Size:
    if size is None:
        return None
    if padding in ("same", "causal"):
        return -(-size // stride)
    return max((size - dilation * (window - 1) - 1) // stride + 1, 0)


def _convolution(name: str, config: Config, inputs: Inputs) -> Outcome:
    rank, filters = rank_of(name), int(config["filters"])
    parts = split(first(inputs), config, rank)
    if parts is None:
        return single(None, None)
    inner, channels = parts
    window = repeated(config["kernel_size"], rank)
    new = slid(inner, window, config, repeated(config["strides"], rank))
    groups = int(config.get("groups") or 1)
    weights = None
    if channels is not None:
        weights = prod(window) * (channels // groups) * filters + has_bias(config) * filters
    return single(joined(new, filters, config), weights)


def _transposed(name: str, config: Config, inputs: Inputs) -> Outcome:
    rank, filters = rank_of(name), int(config["filters"])
    parts = split(first(inputs), config, rank)
    if parts is None:
        return single(None, None)
    inner, channels = parts
    window = repeated(config["kernel_size"], rank)
    strides = repeated(config["strides"], rank)
    weights = None
    if channels is not None:
        weights = prod(window) * channels * filters + has_bias(config) * filters
    dilations = repeated(config.get("dilation_rate") or 1, rank)
    added = config.get("output_padding")
    ends: list[Any] = [None] * rank if added is None else repeated(added, rank)
    is_same = config.get("padding") == "same"
    rows = zip(inner, window, strides, dilations, ends, strict=True)
    return single(joined([_stretched(*row, is_same) for row in rows], filters, config), weights)


def _stretched(
    size: Size, window: int, stride: int, dilation: int, added: int | None, is_same: bool
) -> Size:
    """As Keras's `compute_conv_transpose_output_shape`, `added` being its output_padding."""
    if size is None:
        return None
    window = (window - 1) * dilation + 1
    if added is not None:
        return (size - 1) * stride + (window % 2 if is_same else window) + added
    return size * stride if is_same else size * stride + max(window - stride, 0)


def _adaptive(name: str, config: Config, inputs: Inputs) -> Outcome:
    """Adaptive pooling: the inner dimensions become output_size."""
    rank = rank_of(name)
    parts = split(first(inputs), config, rank)
    if parts is None:
        return single(None)
    return single(joined(list(repeated(config["output_size"], rank)), parts[1], config))


def _separable(name: str, config: Config, inputs: Inputs) -> Outcome:
    rank = rank_of(name)
    parts = split(first(inputs), config, rank)
    if parts is None:
        return single(None, None)
    inner, channels = parts
    window = repeated(config["kernel_size"], rank)
    new = slid(inner, window, config, repeated(config["strides"], rank))
    depth = int(config.get("depth_multiplier") or 1)
    if channels is None:
        return single(joined(new, config.get("filters"), config), None)
    weights, out = prod(window) * channels * depth, channels * depth
    if name.startswith("Separable"):
        out = int(config["filters"])
        weights += channels * depth * out
    return single(joined(new, out, config), weights + has_bias(config) * out)


def _pooling(name: str, config: Config, inputs: Inputs) -> Outcome:
    rank = rank_of(name)
    parts = split(first(inputs), config, rank)
    if parts is None:
        return single(None)
    inner, channels = parts
    window = repeated(config["pool_size"], rank)
    strides = window if config.get("strides") is None else repeated(config["strides"], rank)
    return single(joined(slid(inner, window, config, strides), channels, config))


def _global_pooling(name: str, config: Config, inputs: Inputs) -> Outcome:
    parts = split(first(inputs), config, rank_of(name))
    if parts is None:
        return single(None)
    inner, channels = parts
    if config.get("keepdims"):
        return single(joined([1] * len(inner), channels, config))
    return single((channels,))


def _borders(name: str, config: Config, inputs: Inputs) -> Outcome:
    """The inner dimensions after padding (added) or cropping (removed) at both ends."""
    rank = rank_of(name)
    argument, sign = ("padding", 1) if name.startswith("Zero") else ("cropping", -1)
    parts = split(first(inputs), config, rank)
    if parts is None:
        return single(None)
    inner, channels = parts
    ends = _ends(config[argument], rank)
    new = [
        None if size is None else max(size + sign * (low + high), 0)
        for size, (low, high) in zip(inner, ends, strict=True)
    ]
    return single(joined(new, channels, config))


def _ends(value: Any, rank: int) -> list[tuple[int, int]]:
    """(before, after) of each inner dimension, from any form that Keras takes."""
    if not isinstance(value, list | tuple):
        return [(int(value), int(value))] * rank
    if rank == 1:
        return [(int(value[0]), int(value[1]))]
    return [
        (int(part[0]), int(part[1])) if isinstance(part, list | tuple) else (int(part), int(part))
        for part in value
    ]


def _upsampling(name: str, config: Config, inputs: Inputs) -> Outcome:
    rank = rank_of(name)
    parts = split(first(inputs), config, rank)
    if parts is None:
        return single(None)
    inner, channels = parts
    sizes = repeated(config["size"], rank)
    new = [None if n is None else n * size for n, size in zip(inner, sizes, strict=True)]
    return single(joined(new, channels, config))


_RANKS = (1, 2, 3)
RULES: dict[str, Rule] = {
    **{f"Conv{d}D": _convolution for d in _RANKS},
    **{f"Conv{d}DTranspose": _transposed for d in _RANKS},
    **{f"{kind}Conv{d}D": _separable for kind in ("Separable", "Depthwise") for d in (1, 2)},
    **{f"{kind}Pooling{d}D": _pooling for kind in ("Max", "Average") for d in _RANKS},
    **{f"Adaptive{kind}Pooling{d}D": _adaptive for kind in ("Max", "Average") for d in _RANKS},
    **{f"Global{kind}Pooling{d}D": _global_pooling for kind in ("Max", "Average") for d in _RANKS},
    **{f"{kind}{d}D": _borders for kind in ("ZeroPadding", "Cropping") for d in _RANKS},
    **{f"UpSampling{d}D": _upsampling for d in _RANKS},
}
