"""The calls between the layers of a Functional model, followed from its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.shape_rules.shapes import Inputs, Outcome, Shape

End = tuple[str, int, int]  # layer, call, output
Call = Callable[[dict[str, Any], Inputs, Any, "Graph", str], Outcome]


class Graph:
    """Shapes and weights of all calls; `call` computes the outcome of a layer for its inputs.

    Raises SpecError for a graph that names a layer it does not have, or that no input reaches.
    """

    def __init__(
        self, layers: list[dict[str, Any]], inputs: Mapping[str, Shape], call: Call, place: str
    ) -> None:
        self._layers = {layer_name(layer): layer for layer in layers}
        self._places = {layer_name(layer): f"{place}[{i}]" for i, layer in enumerate(layers)}
        self._place = place.removesuffix(".layers")
        self._call_layer = call
        self._shapes: dict[tuple[str, int], tuple[Shape | None, ...]] = {
            (name, 0): (shape,) for name, shape in inputs.items()
        }
        self.weights: dict[str, int | None] = {}
        self.calls = len(inputs)
        self.readers: dict[str, list[dict[str, Any]]] = {}

    def layer(self, name: str) -> dict[str, Any]:
        """The layer of that name. Raises SpecError if there is none."""
        if name not in self._layers:
            shown = repr(name)[:60]
            raise SpecError(self._place, f"its graph names a layer {shown} that it does not have")
        return self._layers[name]

    def shape(self, end: End) -> Shape | None:
        """The shape of one output of one call; None if it is not known."""
        shapes = self._shapes.get(end[:2], ())
        return shapes[end[2]] if end[2] < len(shapes) else None

    def walk(self) -> None:
        """Call every layer as often as in the config, after the calls that its inputs come from."""
        waiting: dict[tuple[str, int], list[tuple[str, int, Any]]] = {}
        ready = [
            (name, index, node)
            for name, layer in self._layers.items()
            for index, node in enumerate(nodes_of(layer))
        ]
        while ready:
            call = ready.pop()
            missing = self._missing(call[2])
            if missing is not None:
                waiting.setdefault(missing, []).append(call)
            else:
                self._call(*call)
                ready += waiting.pop(call[:2], [])
        if waiting:
            names = sorted({name for calls in waiting.values() for name, _, _ in calls})
            shown = ", ".join(name[:40] for name in names[:3])
            raise SpecError(self._place, f"no input reaches {shown}: its graph has a loop or a gap")

    def _missing(self, node: Any) -> tuple[str, int] | None:
        """The first call that this one needs and that has no result yet."""
        for tensor in tensors_of(node):
            end = end_of(history_of(tensor), self._place)
            self.layer(end[0])
            if end[:2] not in self._shapes:
                return end[:2]
        return None

    def _call(self, name: str, index: int, node: Any) -> None:
        tensors = list(tensors_of(node))
        positional = list(tensors_of(node.get("args") if isinstance(node, dict) else node))
        inputs = [self.tensor_shape(tensor) for tensor in positional or tensors]
        outcome = self._call_layer(self._layers[name], inputs, node, self, self._places[name])
        for tensor in tensors:
            source = end_of(history_of(tensor), self._place)[0]
            self.readers.setdefault(source, []).append(self._layers[name])
        self._shapes[name, index] = outcome.shapes
        self.calls += outcome.calls
        if index == 0:
            self.weights[name] = outcome.weights

    def tensor_shape(self, tensor: dict[str, Any]) -> Shape | None:
        """The shape of a tensor between two calls, by its document."""
        return self.shape(end_of(history_of(tensor), self._place))


def nodes_of(layer: dict[str, Any]) -> list[Any]:
    """The calls of a layer. Raises SpecError if they are no list."""
    nodes = layer.get("inbound_nodes") or []
    if not isinstance(nodes, list):
        raise SpecError("model", "inbound_nodes must be a list of calls")
    return nodes


def history_of(tensor: dict[str, Any]) -> Any:
    """The `[layer, call, output]` of a tensor's document, or the value in its place."""
    config = tensor.get("config")
    return config.get("keras_history") if isinstance(config, dict) else None


def end_of(history: Any, place: str = "model") -> End:
    """`[layer, call, output]`, checked. Raises SpecError."""
    is_end = isinstance(history, list) and len(history) == 3 and isinstance(history[0], str)
    if not is_end or not all(type(part) is int and part >= 0 for part in history[1:]):
        raise SpecError(place, f"{history!r:.60} is not [layer, call, output]")
    return history[0], history[1], history[2]


def ends_of(value: Any, place: str = "model") -> list[End]:
    """The ends of a Functional model's inputs or outputs, in order. Raises SpecError."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return [end_of(value, place)]
    if isinstance(value, dict):
        value = list(value.values())
    if value is None:
        return []
    if not isinstance(value, list):
        raise SpecError(place, f"{value!r:.60} is not a list of [layer, call, output]")
    return [end for part in value for end in ends_of(part, place)]


def layer_name(layer: dict[str, Any]) -> str:
    """The layer's name; an empty text if it has none."""
    config = layer.get("config")
    return str(config.get("name") or "") if isinstance(config, dict) else ""


def tensors_of(value: Any) -> Iterator[dict[str, Any]]:
    """The documents of the tensors in the arguments of a call."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from tensors_of(part)
