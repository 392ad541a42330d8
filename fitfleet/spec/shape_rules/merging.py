"""Shapes and weights of layers with several inputs: merging, attention, operators."""

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


def broadcast(shapes: Inputs) -> Shape | None:
    """The shape of an element-wise operation on these shapes, by NumPy's rule."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes) or not known:
        return None
    rank = max(map(len, known))
    padded = [(1,) * (rank - len(shape)) + shape for shape in known]
    out: list[int | None] = []
    for sizes in zip(*padded, strict=True):
        others = {size for size in sizes if size != 1}
        if len(others) > 1 and None not in others:
            return None
        others.discard(None) if len(others) > 1 else None
        out.append(others.pop() if others else 1)
    return tuple(out)


def _elementwise(_: str, __: Config, inputs: Inputs) -> Outcome:
    ranks = {len(shape) for shape in inputs if shape is not None}
    return single(broadcast(inputs) if len(ranks) == 1 else None)


def _concatenate(_: str, config: Config, inputs: Inputs) -> Outcome:
    known = [shape for shape in inputs if shape is not None]
    axis = int(config.get("axis", -1))
    index = axis if axis < 0 else axis - 1
    if len(known) != len(inputs) or len({len(shape) for shape in known}) != 1 or axis == 0:
        return single(None)
    sizes = [shape[index] for shape in known]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    out = list(known[0])
    out[index] = total
    return single(tuple(out))


def _dot(_: str, config: Config, inputs: Inputs) -> Outcome:
    axes = config["axes"]
    if len(inputs) != 2 or inputs[0] is None or inputs[1] is None:
        return single(None)
    pair = axes if isinstance(axes, list) else [axes, axes]
    left, right = list(inputs[0]), list(inputs[1])
    for shape, axis in ((left, int(pair[0])), (right, int(pair[1]))):
        index = axis if axis < 0 else axis - 1
        if axis == 0 or not -len(shape) <= index < len(shape):
            return single(None)
        del shape[index]
    return single((*left, *right) or (1,))


def _attention(name: str, config: Config, inputs: Inputs) -> Outcome:
    """Inputs are [query, value] or [query, value, key]."""
    weights: int | None = 0
    query, value = first(inputs), inputs[1] if len(inputs) > 1 else None
    if name == "AdditiveAttention":
        weights = 0 if not config.get("use_scale", True) else (query[-1] if query else None)
    elif config.get("use_scale"):
        weights = 1
    if name == "Attention" and config.get("score_mode") == "concat":
        weights = (weights or 0) + 1
    out = (*query[:-1], value[-1]) if query and value else None
    return single(out, weights)


def _multi_head(_: str, config: Config, inputs: Inputs) -> Outcome:
    """Inputs are query, value and, if it differs from the value, key."""
    query, value = first(inputs), inputs[1] if len(inputs) > 1 else None
    key = inputs[2] if len(inputs) > 2 else value
    sizes = [shape[-1] if shape else None for shape in (query, key, value)]
    heads, key_dim = int(config["num_heads"]), int(config["key_dim"])
    value_dim = int(config.get("value_dim") or key_dim)
    target = config.get("output_shape")
    if target is not None:
        last = tuple(target) if isinstance(target, list) else (int(target),)
    else:
        last = (sizes[0],)
    out = None if query is None else (*query[:-1], *last)
    if None in sizes or None in last:
        return single(out, None)
    bias = has_bias(config)
    weights = _projections(sizes, heads, key_dim, value_dim, last, bias)
    if config.get("use_gate"):
        weights += ((sizes[0] or 0) + bias) * heads * value_dim
    return single(out, weights)


def _projections(
    sizes: list[Any], heads: int, key_dim: int, value_dim: int, last: tuple[Any, ...], bias: int
) -> int:
    query = (sizes[0] + bias) * heads * key_dim
    key = (sizes[1] + bias) * heads * key_dim
    value = (sizes[2] + bias) * heads * value_dim
    return int(query + key + value + (heads * value_dim + bias) * prod(last))


def _group_query(_: str, config: Config, inputs: Inputs) -> Outcome:
    query, value = first(inputs), inputs[1] if len(inputs) > 1 else None
    key = inputs[2] if len(inputs) > 2 else value
    sizes = [shape[-1] if shape else None for shape in (query, key, value)]
    if None in sizes:
        return single(query, None)
    d = int(config["head_dim"])
    many, few = int(config["num_query_heads"]), int(config["num_key_value_heads"])
    features, keys, values = (int(size or 0) for size in sizes)
    bias = has_bias(config)
    gated = 2 if config.get("use_gate") else 1
    weights = gated * (features + bias) * many * d + (keys + values + 2 * bias) * few * d
    return single(query, weights + (many * d + bias) * features)


def _einsum_dense(_: str, config: Config, inputs: Inputs) -> Outcome:
    """As in Keras: a letter of the kernel has its size in the input, else in the output."""
    shape, target = first(inputs), config["output_shape"]
    left, _, out = str(config["equation"]).replace("...", "").partition("->")
    term, _, kernel = left.partition(",")
    rest = [target] if isinstance(target, int) else list(target)
    if shape is None or not term or not kernel or not out:
        return single(None, None)
    whole: list[Any] = [None, *shape]
    elided = len(whole) - len(term)
    is_left = str(config["equation"]).startswith("...")
    given = whole[elided:] if is_left else whole[: len(term)]
    output = [*whole[1:elided], *rest] if is_left else [*rest, *whole[len(term) :]]
    output = [None, *output]
    names = out if not is_left else "." * (len(output) - len(out)) + out
    sizes = {**dict(zip(names, output, strict=False)), **dict(zip(term, given, strict=False))}
    bias = [sizes.get(letter) for letter in config.get("bias_axes") or ""]
    parts = [sizes.get(letter) for letter in kernel]
    if None in parts or None in bias:
        return single(tuple(output[1:]), None)
    weights = prod(int(part or 0) for part in parts)
    added = prod(int(part or 0) for part in bias) if bias else 0
    return single(tuple(output[1:]), weights + added)


RULES: dict[str, Rule] = {
    "EinsumDense": _einsum_dense,
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), _elementwise),
    **dict.fromkeys(("Concatenate", "TFDConcat"), _concatenate),
    "Dot": _dot,
    "Attention": _attention,
    "AdditiveAttention": _attention,
    "MultiHeadAttention": _multi_head,
    "GroupQueryAttention": _group_query,
}
