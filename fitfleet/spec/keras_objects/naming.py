"""Default names of layers, as in a new process: lstm, lstm_1, dense.

A model that is built after others in a script has lstm_7 where a new process has lstm. Default
names are renumbered, so that equal models have equal configs; names that the user has chosen stay,
and so do those of several inputs or outputs.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from fitfleet.spec.keras_objects.object_documents import snake_case

_MODEL_PREFIXES = ("sequential", "functional", "model")


def rename(model: dict[str, Any]) -> dict[str, Any]:
    """Renumber the default names in a model, and name every layer; in place."""
    _rename_model(model, Counter(), is_top=True)
    return model


def is_made_up(name: Any, class_name: str) -> bool:
    """Whether this is a default name of Keras for a layer of the class."""
    if not isinstance(name, str):
        return name is None
    prefixes = (snake_case(class_name), *(_MODEL_PREFIXES if class_name in _MODELS else ()))
    return any(re.fullmatch(rf"{re.escape(prefix)}(_\d+)?", name) for prefix in prefixes)


_MODELS = ("Sequential", "Functional")


def _rename_model(model: dict[str, Any], counts: Counter[str], *, is_top: bool) -> None:
    config = model["config"]
    layers = [layer for layer in config["layers"] if _has_class(layer)]  # others: spaces
    for layer in layers:
        _take_name(layer)
    kept = _kept(config)
    taken = {
        _name(layer)
        for layer in layers
        if _name(layer) in kept or not is_made_up(_name(layer), layer["class_name"])
    }
    mapping: dict[str, str] = {}
    for layer in layers:
        old = _name(layer)
        if isinstance(layer.get("config"), dict):
            _rename_inside(layer, counts)
            if old not in taken:
                _set_name(layer, _next(layer["class_name"], counts, taken))
        if isinstance(old, str):
            mapping[old] = str(_name(layer))
    if "input_layers" in config:
        _point(config, mapping)
    if is_top and is_made_up(config.get("name"), model["class_name"]):
        config["name"] = model["class_name"].lower()


def _rename_inside(layer: dict[str, Any], counts: Counter[str]) -> None:
    """Renumber the layers inside a layer, which are created, and so counted, before it."""
    config = layer["config"]
    if layer["class_name"] in _MODELS and isinstance(config.get("layers"), list):
        _rename_model(layer, counts, is_top=False)
        return
    inner = [config.get(key) for key in ("layer", "backward_layer", "cell")]
    cells = config.get("cells")
    for part in (*inner, *(cells if isinstance(cells, list) else ())):
        # The config of a custom layer may have any value there.
        if not _has_class(part) or not isinstance(part.get("config"), dict):
            continue
        _rename_inside(part, counts)
        if is_made_up(part["config"].get("name"), part["class_name"]):
            part["config"]["name"] = _next(part["class_name"], counts, set())


def _has_class(layer: Any) -> bool:
    return isinstance(layer, dict) and isinstance(layer.get("class_name"), str)


def _next(class_name: str, counts: Counter[str], taken: set[Any]) -> str:
    prefix = snake_case(class_name)
    while True:
        number = counts[prefix]
        counts[prefix] += 1
        name = f"{prefix}_{number}" if number else prefix
        if name not in taken:
            return name


def _name(layer: dict[str, Any]) -> Any:
    config = layer.get("config")
    return config.get("name") if isinstance(config, dict) else None


def _take_name(layer: dict[str, Any]) -> None:
    """The name of a layer, written into its config, which may lack it for a custom class."""
    if isinstance(layer.get("config"), dict) and layer.get("name"):
        layer["config"].setdefault("name", layer["name"])


def _set_name(layer: dict[str, Any], name: str) -> None:
    layer["config"]["name"] = name
    if "name" in layer:
        layer["name"] = name


def _kept(config: dict[str, Any]) -> set[Any]:
    """Names of inputs and outputs that a dataset or a loss may use."""
    kept: set[Any] = set()
    for key in ("input_layers", "output_layers"):
        ends = config.get(key)
        names = _ends(ends)
        if len(names) > 1 or isinstance(ends, dict):
            kept.update(names)
    return kept


def _ends(value: Any) -> set[str]:
    if _is_history(value):
        return {value[0]}
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return {name for part in value for name in _ends(part)}
    return set()


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)


def _point(config: dict[str, Any], mapping: dict[str, str]) -> None:
    """Rename all references to a layer: in inputs, outputs and nodes of the model."""
    for key in ("input_layers", "output_layers"):
        config[key] = _mapped(config.get(key), mapping)
    for layer in config["layers"]:
        if isinstance(layer, dict):
            _point_nodes(layer.get("inbound_nodes"), mapping)


def _mapped(value: Any, mapping: dict[str, str]) -> Any:
    if _is_history(value):
        return [mapping.get(value[0], value[0]), *value[1:]]
    if isinstance(value, list):
        return [_mapped(part, mapping) for part in value]
    if isinstance(value, dict):
        return {key: _mapped(part, mapping) for key, part in value.items()}
    return value


def _point_nodes(value: Any, mapping: dict[str, str]) -> None:
    if isinstance(value, list):
        for part in value:
            _point_nodes(part, mapping)
    elif isinstance(value, dict):
        config = value.get("config")
        if value.get("class_name") == "__keras_tensor__" and isinstance(config, dict):
            config["keras_history"] = _mapped(config.get("keras_history"), mapping)
        else:
            for part in value.values():
                _point_nodes(part, mapping)
