"""What is known of a model without Keras: inputs, outputs, number of weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.canonical import model_kind
from fitfleet.spec.merging import operation_shape
from fitfleet.spec.shapes import UNKNOWN, Inputs, Outcome, Shape, layer_outcome, one

OPERATIONS = "keras.src.ops."


@dataclass(frozen=True)
class InputFacts:
    """An input of the model; `shape` without the batch dimension, None for a free one.

    `codes` is the input_dim of the Embedding that reads it: its values are 0 to codes - 1.
    """

    name: str
    shape: Shape
    dtype: str
    codes: int | None = None


@dataclass(frozen=True)
class OutputFacts:
    """An output of the model; `shape` is None when it is not known without Keras."""

    name: str
    shape: Shape | None
    activation: str | None


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model without Keras.

    `parameters` is Keras's count_params() if `is_exact`, else a lower bound. `batch_size` is the
    one that the model's inputs fix.
    """

    parameters: int
    layers: int
    inputs: list[InputFacts]
    outputs: list[OutputFacts]
    is_stateful: bool
    batch_size: int | None
    is_exact: bool = True


NOTHING = ModelFacts(0, 0, [], [], False, None, is_exact=False)


def model_facts(model: dict[str, Any], input_shape: Shape | None = None) -> ModelFacts:
    """Facts of a canonical Sequential or Functional config.

    `input_shape` (without the batch) stands in for the input that a Sequential does not declare.
    Raises SpecError for a graph that no input reaches.
    """
    if model_kind(model) == "Functional":
        return _functional(model["config"])
    return _sequential(model["config"], input_shape)


def layers_inside(layers: list[Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every layer with its place, wrapped ones and nested models included."""
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


def _outcome(layer: dict[str, Any], inputs: Inputs) -> Outcome:
    """A layer's outcome, a nested model's included."""
    if model_kind(layer) is not None:
        return _nested(layer, inputs)
    if str(layer.get("module")).startswith(OPERATIONS):
        return one(operation_shape(str(layer["class_name"]), inputs))
    return layer_outcome(layer, inputs)


def _nested(model: dict[str, Any], inputs: Inputs) -> Outcome:
    shape = inputs[0] if inputs else None
    facts = model_facts(model, shape)
    shapes = tuple(output.shape for output in facts.outputs)
    return Outcome(shapes, facts.parameters if facts.is_exact else None)


def _sequential(config: dict[str, Any], input_shape: Shape | None) -> ModelFacts:
    layers = config["layers"]
    if not layers:
        raise SpecError("model.layers", "the model has no layers")
    inputs: list[InputFacts] = []
    shape, batch_size, body = input_shape, None, layers
    if layers[0]["class_name"] == "InputLayer":
        inputs, body = [_input_facts(layers[0])], layers[1:]
        shape, batch_size = inputs[0].shape, _batch_size(layers[0])
    elif isinstance(config.get("build_input_shape"), list) and shape is None:
        shape = tuple(config["build_input_shape"][1:])
        inputs = [InputFacts(str(layers[0]["config"].get("name") or "input"), shape, "float32")]
    inputs = [replace(given, codes=_codes(body[:1])) for given in inputs]
    weights, is_exact = 0, True
    for layer in body:
        outcome = _outcome(layer, [shape])
        shape = outcome.shape if len(outcome.shapes) == 1 else None
        weights += outcome.weights or 0
        is_exact = is_exact and outcome.weights is not None
    last = layers[-1]
    outputs = [OutputFacts(_name(last), shape, activation_of(last))]
    stateful = _is_stateful(layers)
    return ModelFacts(weights, len(layers), inputs, outputs, stateful, batch_size, is_exact)


def _functional(config: dict[str, Any]) -> ModelFacts:
    graph = _Graph(config["layers"])
    graph.walk()
    inputs = [
        replace(_input_facts(graph.layer(end[0])), codes=_codes(graph.readers.get(end[0], [])))
        for end in _ends(config.get("input_layers"))
    ]
    outputs = [
        OutputFacts(end[0], graph.shape(end), activation_of(graph.layer(end[0])))
        for end in _ends(config.get("output_layers"))
    ]
    sizes = [
        _batch_size(layer) for layer in config["layers"] if layer["class_name"] == "InputLayer"
    ]
    return ModelFacts(
        sum(weights or 0 for weights in graph.weights.values()),
        len(config["layers"]),
        inputs,
        outputs,
        _is_stateful(config["layers"]),
        next((size for size in sizes if size is not None), None),
        is_exact=None not in graph.weights.values(),
    )


class _Graph:
    """The calls between the layers of a Functional model, followed from its inputs."""

    def __init__(self, layers: list[dict[str, Any]]) -> None:
        self._layers = {_name(layer): layer for layer in layers}
        self._shapes: dict[tuple[str, int], tuple[Shape | None, ...]] = {}
        self.weights: dict[str, int | None] = {}
        self.readers: dict[str, list[dict[str, Any]]] = {}

    def layer(self, name: str) -> dict[str, Any]:
        """The layer of that name. Raises SpecError if there is none."""
        if name not in self._layers:
            raise SpecError("model", f"its graph names a layer {name!r} that it does not have")
        return self._layers[name]

    def shape(self, end: tuple[str, int, int]) -> Shape | None:
        """The shape of one output of one call; None if it is not known."""
        shapes = self._shapes.get(end[:2], ())
        return shapes[end[2]] if end[2] < len(shapes) else None

    def walk(self) -> None:
        """Calls every layer as often as the config says, in an order that its inputs allow."""
        waiting = [
            (name, index, node)
            for name, layer in self._layers.items()
            for index, node in enumerate(layer.get("inbound_nodes") or ())
        ]
        for name, layer in self._layers.items():
            if layer["class_name"] == "InputLayer":
                self._shapes[name, 0] = (_input_facts(layer).shape,)
        while waiting:
            left = [call for call in waiting if not self._call(*call)]
            if len(left) == len(waiting):
                names = ", ".join(sorted({name for name, _, _ in left})[:3])
                raise SpecError("model", f"no input reaches {names}: its graph has a loop or a gap")
            waiting = left

    def _call(self, name: str, index: int, node: Any) -> bool:
        tensors = list(_tensors(node))
        ends = [_end(tensor["config"].get("keras_history")) for tensor in tensors]
        if any(end[:2] not in self._shapes for end in ends):
            for end in ends:
                self.layer(end[0])
            return False
        positional = list(_tensors(node.get("args") if isinstance(node, dict) else node))
        inputs = [self._input(tensor) for tensor in positional or tensors]
        outcome = _outcome(self._layers[name], inputs)
        for source, _, _ in ends:
            self.readers.setdefault(source, []).append(self._layers[name])
        self._shapes[name, index] = outcome.shapes
        if index == 0:
            self.weights[name] = outcome.weights
        return True

    def _input(self, tensor: dict[str, Any]) -> Shape | None:
        """What was found here, else what Keras wrote beside the tensor."""
        found = self.shape(_end(tensor["config"].get("keras_history")))
        written = tensor["config"].get("shape")
        return found if found is not None or not isinstance(written, list) else tuple(written[1:])


def _tensors(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _tensors(part)


def _end(history: Any) -> tuple[str, int, int]:
    is_end = isinstance(history, list) and len(history) == 3 and isinstance(history[0], str)
    if not is_end or not all(type(part) is int and part >= 0 for part in history[1:]):
        raise SpecError("model", f"{history!r:.60} is not [layer, call, output]")
    return history[0], history[1], history[2]


def _ends(value: Any) -> list[tuple[str, int, int]]:
    """Where the inputs or outputs of a Functional model come from, in order."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return [_end(value)]
    parts = value.values() if isinstance(value, dict) else value
    return [end for part in parts for end in _ends(part)] if parts else []


def _input_facts(layer: dict[str, Any]) -> InputFacts:
    config = layer.get("config") or {}
    shape = config.get("batch_shape")
    if layer["class_name"] != "InputLayer" or not isinstance(shape, list):
        raise SpecError("model", f"{_name(layer)} is no input layer with a shape")
    return InputFacts(_name(layer), tuple(shape[1:]), config.get("dtype") or "float32")


def _codes(readers: list[dict[str, Any]]) -> int | None:
    """How many codes the Embeddings that read an input know; None if there is none."""
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
        (one.get("config") or {}).get("stateful") is True for one, _ in layers_inside(layers, "")
    )


def activation_of(layer: dict[str, Any]) -> str | None:
    """The activation that the outputs of a layer went through; None when it is not known."""
    config = layer.get("config") or {}
    name = layer["class_name"]
    if name in ("TimeDistributed", "Bidirectional") and isinstance(config.get("layer"), dict):
        return activation_of(config["layer"])
    if name == "Softmax":
        return "softmax"
    if layer.get("module") != "keras.layers":
        return None
    default = "tanh" if name in ("LSTM", "GRU", "SimpleRNN") else "linear"
    found = config.get("activation", default)
    return found if isinstance(found, str) else None


def _name(layer: dict[str, Any]) -> str:
    config = layer.get("config")
    return str(config.get("name") or "") if isinstance(config, dict) else ""


__all__ = ["NOTHING", "UNKNOWN", "InputFacts", "ModelFacts", "OutputFacts", "model_facts"]
