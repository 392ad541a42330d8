"""Shapes and weights of recurrent layers, their cells, and the wrappers around layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from fitfleet.spec.keras_names import catalog
from fitfleet.spec.shape_rules.shapes import (
    UNKNOWN,
    Config,
    Inputs,
    Outcome,
    Rule,
    Shape,
    first,
    has_bias,
    layer_outcome,
)
from fitfleet.spec.shape_rules.sliding_windows import joined, rank_of, repeated, slid, split

_GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True)
class _Cell:
    """The output size, state sizes and number of weights of a cell or a stack of cells."""

    units: int
    states: tuple[int, ...]
    weights: int | None
    depth: int = 1


def _gated(name: str, config: Config, features: int | None) -> _Cell:
    units, gates = int(config["units"]), _GATES[name]
    biases = has_bias(config)
    if name == "GRU" and config.get("reset_after", True):
        biases *= 2
    weights = None if features is None else gates * units * (features + units + biases)
    return _Cell(units, (units, units) if name == "LSTM" else (units,), weights)


def _cell(layer: Any, features: int | None) -> _Cell | None:
    """The cell of an RNN layer; None for a custom one."""
    if not isinstance(layer, dict) or layer.get("module") != "keras.layers":
        return None
    name, config = str(layer.get("class_name")), layer.get("config") or {}
    if name == "StackedRNNCells":
        return _stacked(config.get("cells") or [], features)
    kind = name.removesuffix("Cell")
    signature = catalog.signature("layers", name)
    if kind not in _GATES or signature is None:
        return None
    return _gated(kind, {**signature.defaults, **config}, features)


def _stacked(cells: list[Any], features: int | None) -> _Cell | None:
    states: tuple[int, ...] = ()
    weights: int | None = 0
    units = 0
    for layer in cells:
        cell = _cell(layer, features)
        if cell is None:
            return None
        states += cell.states
        known = weights is not None and cell.weights is not None
        weights = (weights or 0) + (cell.weights or 0) if known else None
        features = units = cell.units
    return _Cell(units, states, weights, len(cells))


def _unrolled(config: Config, steps: int | None, depth: int) -> int | None:
    """The number of copies of the cell in an unrolled layer; 0 for a loop."""
    if not config.get("unroll"):
        return 0
    return None if steps is None else steps * depth


def _sequence(config: Config, cell: _Cell, shape: Shape) -> Outcome:
    out: Shape = (shape[0], cell.units) if config.get("return_sequences") else (cell.units,)
    states: tuple[Shape, ...] = ()
    if config.get("return_state"):
        states = tuple((size,) for size in cell.states)
    return Outcome((out, *states), cell.weights, _unrolled(config, shape[0], cell.depth))


def _recurrent(name: str, config: Config, inputs: Inputs) -> Outcome:
    shape = first(inputs)
    if shape is None or len(shape) != 2:
        return Outcome((None,), None, _unrolled(config, None, 1))
    return _sequence(config, _gated(name, config, shape[-1]), shape)


def _rnn(_: str, config: Config, inputs: Inputs) -> Outcome:
    shape = first(inputs)
    if shape is None or len(shape) != 2:
        return Outcome((None,), None, _unrolled(config, None, 1))
    cell = _cell(config.get("cell"), shape[-1])
    if cell is None:
        return Outcome((None,), None, _unrolled(config, shape[0], 1))
    return _sequence(config, cell, shape)


def _conv_lstm(name: str, config: Config, inputs: Inputs) -> Outcome:
    rank, filters, shape = rank_of(name), int(config["filters"]), first(inputs)
    parts = split(shape[1:] if shape else None, config, rank)
    if parts is None or shape is None:
        return Outcome((None,), None, _unrolled(config, None, 1))
    inner, channels = parts
    window = repeated(config["kernel_size"], rank)
    new = slid(inner, window, config, repeated(config["strides"], rank))
    weights = None
    if channels is not None:
        weights = 4 * filters * (prod(window) * (channels + filters) + has_bias(config))
    frame = joined(new, filters, config)
    out = (shape[0], *frame) if config.get("return_sequences") else frame
    states = (frame, frame) if config.get("return_state") else ()
    return Outcome((out, *states), weights, _unrolled(config, shape[0], 1))


def _time_distributed(_: str, config: Config, inputs: Inputs) -> Outcome:
    shape, inner = first(inputs), config.get("layer") or {}
    if not shape:
        return UNKNOWN
    return over_time(layer_outcome(inner, [shape[1:]]), shape[0])


def over_time(outcome: Outcome, steps: int | None) -> Outcome:
    """The outcome of a layer over all steps, from its outcome for one."""
    shapes = tuple(None if out is None else (steps, *out) for out in outcome.shapes)
    return replace(outcome, shapes=shapes)


def _bidirectional(_: str, config: Config, inputs: Inputs) -> Outcome:
    forward = layer_outcome(config.get("layer") or {}, inputs)
    backward = forward
    if isinstance(config.get("backward_layer"), dict):
        backward = layer_outcome(config["backward_layer"], inputs)
    weights = None
    if forward.weights is not None and backward.weights is not None:
        weights = forward.weights + backward.weights
    outs = _merged(config.get("merge_mode", "concat"), forward.shape, backward.shape)
    cells = None
    if forward.cells is not None and backward.cells is not None:
        cells = forward.cells + backward.cells
    return Outcome((*outs, *forward.shapes[1:], *backward.shapes[1:]), weights, cells)


def _merged(mode: Any, left: Shape | None, right: Shape | None) -> tuple[Shape | None, ...]:
    if mode is None:
        return (left, right)
    if mode != "concat" or not left or not right:
        return (left,)
    if left[-1] is None or right[-1] is None:
        return ((*left[:-1], None),)
    return ((*left[:-1], left[-1] + right[-1]),)


RULES: dict[str, Rule] = {
    **dict.fromkeys(_GATES, _recurrent),
    "RNN": _rnn,
    **{f"ConvLSTM{d}D": _conv_lstm for d in (1, 2, 3)},
    "TimeDistributed": _time_distributed,
    "Bidirectional": _bidirectional,
}
