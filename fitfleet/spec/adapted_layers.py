"""Preprocessing layers that a worker adapts to the training rows: which they are, and their state.

A state is the result of `adapt()`, as arguments of the layer: mean and variance, boundaries, a
vocabulary. So the config of an adapted model is like one with these arguments.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.canonical import model_kind, nodes
from fitfleet.spec.shape_rules.graph import layer_name
from fitfleet.text import with_article

# By the layer's path in the model, such as "words" or "encoder/words".
States = dict[str, dict[str, Any]]

# Class -> the argument that `adapt` computes.
ADAPTED = {
    "Normalization": "mean",
    "Discretization": "bin_boundaries",
    "IntegerLookup": "vocabulary",
    "StringLookup": "vocabulary",
    "TextVectorization": "vocabulary",
}
_ARGUMENTS = (
    *("mean", "variance", "bin_boundaries", "num_bins"),
    *("vocabulary", "vocabulary_size", "idf_weights"),
)
_MAX_PATTERNS = 64
_MAX_PATTERN = 256


def patterns_of(value: Any) -> list[str]:
    """The patterns of `adapt`: True is all layers, a text is one name. Raises SpecError."""
    if value is None or isinstance(value, bool):
        return ["*"] if value else []
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list | tuple) or not all(
        isinstance(pattern, str) for pattern in patterns
    ):
        raise SpecError("adapt", f"{value!r:.60} is neither True nor a list of names of layers")
    if len(patterns) > _MAX_PATTERNS or any(len(pattern) > _MAX_PATTERN for pattern in patterns):
        raise SpecError(
            "adapt", f"at most {_MAX_PATTERNS} names of {_MAX_PATTERN} characters are taken"
        )
    return list(patterns)


def is_to_adapt(layer: Mapping[str, Any], patterns: list[str]) -> bool:
    """Whether a layer has no state yet, and one of the patterns names it."""
    argument = ADAPTED.get(str(layer.get("class_name")))
    config = layer.get("config")
    if argument is None or layer.get("module") != "keras.layers" or not isinstance(config, dict):
        return False
    name = str(config.get("name") or "")
    return config.get(argument) is None and any(fnmatchcase(name, pattern) for pattern in patterns)


def layers_to_adapt(
    model: Mapping[str, Any], patterns: list[str], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, config) of each layer to adapt, also in nested models and in TimeDistributed."""
    for layer in model["config"]["layers"]:
        yield from layers_within(layer, patterns, f"{prefix}{layer_name(layer)}")


def layers_within(
    layer: dict[str, Any], patterns: list[str], path: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, config) of a layer of the model, or of the layers inside of it."""
    inner = stepped(layer)
    if model_kind(layer) is not None:
        yield from layers_to_adapt(layer, patterns, f"{path}/")
    elif inner is not None:
        yield from layers_within(inner, patterns, f"{path}/{layer_name(inner)}")
    elif is_to_adapt(layer, patterns):
        yield path, layer


def stepped(layer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The layer that a TimeDistributed applies to each time step; None for other layers."""
    if layer.get("class_name") != "TimeDistributed" or layer.get("module") != "keras.layers":
        return None
    inner = (layer.get("config") or {}).get("layer")
    return inner if isinstance(inner, dict) else None


def check_adapt(spec: JobSpec) -> None:
    """Raises SpecError for a pattern that names no layer which a worker could adapt."""
    if not spec.adapt:
        return
    if spec.model.config is None:
        raise SpecError(
            "adapt", "only a worker can build this model; call adapt() in the builder instead"
        )
    reached = {layer_name(layer) for _, layer in layers_to_adapt(spec.model.config, spec.adapt)}
    inside = [node for node in nodes(spec.model.config["config"]) if layer_name(node)]
    for node in inside:
        if is_to_adapt(node, spec.adapt) and layer_name(node) not in reached:
            raise SpecError(
                "adapt",
                f"{layer_name(node)!r} is inside a wrapper other than TimeDistributed; adapt it"
                " in your script",
            )
    for pattern in spec.adapt:
        if not any(fnmatchcase(name, pattern) for name in reached):
            raise SpecError("adapt", _why_none(pattern, inside))


def _why_none(pattern: str, inside: list[dict[str, Any]]) -> str:
    """Why a pattern matches no layer."""
    of_name = [node for node in inside if fnmatchcase(layer_name(node), pattern)]
    if not of_name:
        names = map(layer_name, inside)
        return f"no layer is called {pattern!r}; {catalog.nearest(pattern, names)}"
    for node in of_name:
        argument = ADAPTED.get(node["class_name"])
        if argument is not None:
            return f"{layer_name(node)!r} has its {argument} already; leave one of the two out"
    kind = with_article(str(of_name[0]["class_name"]))
    if pattern == "*":
        return f"no layer of the model has anything to adapt; {', '.join(ADAPTED)} have"
    return f"{pattern!r} is {kind}, which has nothing to adapt; {', '.join(ADAPTED)} have"


def take_state(layer: dict[str, Any], state: Mapping[str, Any]) -> None:
    """Write a state into a layer's config; arguments that are None in the state are removed."""
    for name in _ARGUMENTS:
        if state.get(name) is not None:
            layer["config"][name] = state[name]
        elif name in state:
            layer["config"].pop(name, None)


def with_states(spec: JobSpec, states: Mapping[str, Mapping[str, Any]]) -> JobSpec:
    """The spec with each state as arguments of its layer, and nothing left to adapt."""
    if not spec.adapt:
        return spec
    config = copy.deepcopy(spec.model.config)
    assert config is not None
    for path, layer in layers_to_adapt(config, spec.adapt):
        take_state(layer, states.get(path, {}))
    model = spec.model.model_copy(update={"config": config})
    return spec.model_copy(update={"model": model, "adapt": []})
