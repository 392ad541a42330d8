"""The short form of a model in YAML: names of layers and their arguments."""

from __future__ import annotations

from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.keras_objects.canonical import SEQUENTIAL
from fitfleet.spec.parts.layers import layer


def from_short(document: dict[str, Any]) -> Any:
    """`{"Sequential": [{"Input": {"shape": [8]}}, {"Dense": {"units": 3}}]}`, as YAML has it."""
    if "class_name" in document or set(document) - {"Sequential", "name"}:
        return document
    rows = document.get("Sequential")
    if not isinstance(rows, list):
        raise SpecError("model", "a short form needs a list of layers under Sequential")
    layers = [_short_layer(row, f"model.layers[{i}]") for i, row in enumerate(rows)]
    config = {"layers": layers}
    if document.get("name"):
        config["name"] = document["name"]
    return {"module": SEQUENTIAL[0], "class_name": SEQUENTIAL[1], "config": config}


def _short_layer(row: Any, place: str) -> Any:
    if hasattr(row, "to_layer"):
        return row.to_layer()
    if isinstance(row, str):
        row = {row: {}}
    if not isinstance(row, dict):
        raise SpecError(place, f"{repr(row)[:60]} is not a layer")
    if "class_name" in row:
        return row
    if len(row) != 1:
        raise SpecError(place, 'a layer in the short form is {"Name": {"argument": value}}')
    ((name, arguments),) = row.items()
    if not isinstance(name, str):
        raise SpecError(place, f"{repr(name)[:40]} is not the name of a layer")
    if arguments is not None and not isinstance(arguments, dict):
        return layer(name, *(arguments if isinstance(arguments, list) else [arguments])).to_layer()
    return layer(name, **_short_arguments(arguments or {}, place)).to_layer()


def _short_arguments(given: dict[Any, Any], place: str) -> dict[str, Any]:
    """The arguments of a layer, with layers in them in canonical form."""
    for argument in given:
        if not isinstance(argument, str):
            raise SpecError(place, f"{repr(argument)[:40]} is not the name of an argument")
    arguments = dict(given)
    for key in ("layer", "backward_layer", "cell"):
        if isinstance(arguments.get(key), dict):
            arguments[key] = _short_layer(arguments[key], f"{place}.{key}")
        elif isinstance(arguments.get(key), list):
            arguments[key] = [_short_layer(part, place) for part in arguments[key]]
    return arguments
