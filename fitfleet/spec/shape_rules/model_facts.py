"""Facts of a model, computed without Keras: inputs, outputs, number of weights."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.keras_objects.canonical import model_kind
from fitfleet.spec.shape_rules.graph import Graph, ends_of, layer_name
from fitfleet.spec.shape_rules.input_rules import check_rank, check_single, check_sizes
from fitfleet.spec.shape_rules.operations import operation_outcome
from fitfleet.spec.shape_rules.recurrent import over_time
from fitfleet.spec.shape_rules.shapes import UNKNOWN, Inputs, Outcome, Shape, layer_outcome
from fitfleet.spec.shape_rules.traversal_limits import Walk

OPERATIONS = "keras.src.ops."
# Shapes for which a Sequential without an input might be built; the fewest weights of them are a
# lower bound, as sizes are at least one.
_SMALLEST: tuple[Shape, ...] = tuple((1,) * rank for rank in (1, 2, 3, 4))


@dataclass(frozen=True)
class InputFacts:
    """An input of the model; `shape` without the batch dimension, None for any size.

    `codes` is the input_dim of the Embedding that reads it: its values are 0 to codes - 1.
    """

    name: str
    shape: Shape
    dtype: str
    codes: int | None = None


@dataclass(frozen=True)
class OutputFacts:
    """An output of the model; `shape` is None if only Keras can compute it."""

    name: str
    shape: Shape | None
    activation: str | None


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a model, computed without Keras.

    `parameters` is Keras's count_params() if `is_exact`, else a lower bound. `batch_size` is that
    of the model's inputs, if they fix one. `calls` is the number of calls of layers, with those in
    each call of a nested model.
    """

    parameters: int
    layers: int
    inputs: list[InputFacts]
    outputs: list[OutputFacts]
    is_stateful: bool
    batch_size: int | None
    is_exact: bool = True
    calls: int = 0


NOTHING = ModelFacts(0, 0, [], [], False, None, is_exact=False)


def model_facts(
    model: dict[str, Any], input_shape: Shape | None = None, settings: Settings | None = None
) -> ModelFacts:
    """Facts of a canonical Sequential or Functional config.

    `input_shape` (without the batch) stands in for the input that a Sequential does not declare.
    Raises SpecError for a graph that no input reaches, and for limits of the settings.
    """
    settings = settings or Settings()
    facts = _facts(model, (input_shape,), "model", Walk(settings))
    if facts.inputs or input_shape is not None:
        return facts
    known = [_smallest(model, shape, settings) for shape in _SMALLEST]
    weights = [facts.parameters for facts in known if facts.is_exact]
    return replace(facts, parameters=max(facts.parameters, min(weights, default=0)))


def _smallest(model: dict[str, Any], shape: Shape, settings: Settings) -> ModelFacts:
    try:
        return _facts(model, (shape,), "model", Walk(settings, is_guess=True))
    except SpecError:  # a layer does not take inputs of this rank
        return NOTHING


def layers_inside(layers: list[Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every layer with its place, also wrapped ones and those of nested models."""
    for index, layer in enumerate(layers):
        yield from _inside(layer, f"{place}[{index}]")


def _inside(layer: Any, place: str) -> Iterator[tuple[dict[str, Any], str]]:
    if not isinstance(layer, dict) or "class_name" not in layer:
        return
    yield layer, place
    config = layer.get("config")
    if not isinstance(config, dict):
        return
    for key in ("layer", "backward_layer", "cell"):
        yield from _inside(config.get(key), f"{place}.{key}")
    for key in ("cells", "layers"):
        if isinstance(config.get(key), list):
            yield from layers_inside(config[key], f"{place}.{key}")


def _facts(model: dict[str, Any], inputs: Inputs, place: str, walk: Walk) -> ModelFacts:
    if model_kind(model) == "Functional":
        facts = _functional(model["config"], inputs, place, walk)
    else:
        facts = _sequential(model["config"], inputs[0] if inputs else None, place, walk)
    walk.check_calls(facts.calls)
    return facts


def _outcome(layer: dict[str, Any], inputs: Inputs, place: str, walk: Walk) -> Outcome:
    """The outcome of a layer, also of a nested model or of one in TimeDistributed."""
    walk.begin_call()
    inner = (layer.get("config") or {}).get("layer") or {}
    if model_kind(layer) is not None:
        outcome = _nested(layer, inputs, place, walk)
    elif layer["class_name"] == "TimeDistributed" and model_kind(inner) is not None:
        outcome = UNKNOWN
        if inputs and inputs[0]:
            inner_outcome = _nested(inner, [inputs[0][1:]], f"{place}.layer", walk)
            outcome = over_time(inner_outcome, inputs[0][0])
    else:
        check_rank(layer, inputs, place)
        outcome = layer_outcome(layer, inputs)
        if not walk.is_guess:
            check_sizes(layer, inputs, outcome, place)
    walk.check_outcome(outcome, place)
    return outcome


def _nested(model: dict[str, Any], inputs: Inputs, place: str, walk: Walk) -> Outcome:
    key = (id(model), tuple(inputs))
    if key not in walk.known:
        walk.known[key] = _facts(model, inputs, place, walk)
    facts: ModelFacts = walk.known[key]
    shapes = tuple(output.shape for output in facts.outputs)
    return Outcome(shapes, facts.parameters if facts.is_exact else None, calls=facts.calls)


def _sequential(
    config: dict[str, Any], input_shape: Shape | None, place: str, walk: Walk
) -> ModelFacts:
    layers = config["layers"]
    if not layers:
        raise SpecError(f"{place}.layers", "the model has no layers")
    inputs: list[InputFacts] = []
    shape, batch_size, start = input_shape, None, 0
    if layers[0]["class_name"] == "InputLayer":
        given, start = _input_facts(layers[0]), 1
        inputs, batch_size = [given], _batch_size(layers[0])
        shape = _narrowed(given.shape, input_shape)
    elif isinstance(config.get("build_input_shape"), list) and shape is None:
        shape = tuple(config["build_input_shape"][1:])
        inputs = [InputFacts(layer_name(layers[0]) or "input", shape, "float32")]
    body = layers[start:]
    inputs = [replace(given, codes=_codes(body[:1])) for given in inputs]
    weights, is_exact, calls = 0, True, start
    is_single = start == 1
    for index, layer in enumerate(body, start):
        if is_single:
            check_single(layer, f"{place}.layers[{index}]")
        outcome = _outcome(layer, [shape], f"{place}.layers[{index}]", walk)
        is_single = len(outcome.shapes) == 1 and outcome.shape is not None
        shape = outcome.shape if len(outcome.shapes) == 1 else None
        weights += outcome.weights or 0
        calls += outcome.calls
        is_exact = is_exact and outcome.weights is not None
    last = layers[-1]
    outputs = [OutputFacts(layer_name(last), shape, activation_of(last))]
    stateful = _is_stateful(layers)
    return ModelFacts(weights, len(layers), inputs, outputs, stateful, batch_size, is_exact, calls)


def _functional(config: dict[str, Any], given: Inputs, place: str, walk: Walk) -> ModelFacts:
    layers = config["layers"]
    named = {layer_name(layer): layer for layer in layers}
    ends = ends_of(config.get("input_layers"), place)
    declared = {
        name: _input_facts(layer).shape
        for name, layer in named.items()
        if layer["class_name"] == "InputLayer"
    }
    for end, shape in zip(ends, given, strict=False):
        if end[0] in declared:
            declared[end[0]] = _narrowed(declared[end[0]], shape)
    call = functools.partial(_called, walk=walk)
    graph = Graph(layers, declared, call, f"{place}.layers")
    graph.walk()
    inputs = [
        replace(_input_facts(graph.layer(end[0])), codes=_codes(graph.readers.get(end[0], [])))
        for end in ends
    ]
    outputs = [
        OutputFacts(end[0], graph.shape(end), activation_of(graph.layer(end[0])))
        for end in ends_of(config.get("output_layers"), place)
    ]
    sizes = [_batch_size(named[name]) for name in declared]
    return ModelFacts(
        sum(weights or 0 for weights in graph.weights.values()),
        len(layers),
        inputs,
        outputs,
        _is_stateful(layers),
        next((size for size in sizes if size is not None), None),
        is_exact=None not in graph.weights.values(),
        calls=graph.calls,
    )


def _called(
    layer: dict[str, Any], inputs: Inputs, node: Any, graph: Graph, place: str, walk: Walk
) -> Outcome:
    """A call in a graph, of a layer or of an operator."""
    if not str(layer.get("module")).startswith(OPERATIONS):
        return _outcome(layer, inputs, place, walk)
    walk.begin_call()
    outcome = operation_outcome(layer, node, graph.tensor_shape)
    walk.check_outcome(outcome, place)
    return outcome


def _narrowed(declared: Shape, given: Shape | None) -> Shape:
    """The declared shape with None replaced by the given sizes, if the ranks are equal."""
    if given is None or len(given) != len(declared):
        return declared
    return tuple(b if a is None else a for a, b in zip(declared, given, strict=True))


def _input_facts(layer: dict[str, Any]) -> InputFacts:
    config = layer.get("config") or {}
    shape = config.get("batch_shape")
    if layer["class_name"] != "InputLayer" or not isinstance(shape, list):
        raise SpecError("model", f"{layer_name(layer)} is not an input layer with a shape")
    return InputFacts(layer_name(layer), tuple(shape[1:]), config.get("dtype") or "float32")


def _codes(readers: list[dict[str, Any]]) -> int | None:
    """The input_dim of the Embeddings that read an input; None if there is none."""
    sizes = [
        layer["config"].get("input_dim")
        for layer in readers
        if (layer.get("module"), layer["class_name"]) == ("keras.layers", "Embedding")
    ]
    return min((size for size in sizes if isinstance(size, int)), default=None)


def _batch_size(layer: dict[str, Any]) -> int | None:
    shape = layer["config"].get("batch_shape") or [None]
    return shape[0] if isinstance(shape[0], int) else None


def _is_stateful(layers: list[Any]) -> bool:
    return any(
        (layer.get("config") or {}).get("stateful") is True
        for layer, _ in layers_inside(layers, "")
    )


def activation_of(layer: dict[str, Any]) -> str | None:
    """The activation of a layer's outputs; None if it is unknown."""
    config = layer.get("config") or {}
    name = layer["class_name"]
    if name in ("TimeDistributed", "Bidirectional") and isinstance(config.get("layer"), dict):
        return activation_of(config["layer"])
    if name == "Softmax":
        return "softmax"
    if layer.get("module") != "keras.layers":
        return None
    default = "tanh" if name in ("LSTM", "GRU", "SimpleRNN") else "linear"
    activation = config.get("activation", default)
    return activation if isinstance(activation, str) else None


__all__ = ["NOTHING", "UNKNOWN", "InputFacts", "ModelFacts", "OutputFacts", "model_facts"]
