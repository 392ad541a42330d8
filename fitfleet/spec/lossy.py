"""Arguments that Keras 3.15 forgets when it serialises a layer: taken from the layer itself."""

from __future__ import annotations

from typing import Any

# Class -> argument, where the layer keeps it, and the value that need not be written.
_LOST = {
    "SimpleRNN": ("seed", "cell.seed", None),
    "LSTM": ("use_cudnn", "use_cudnn", "auto"),
    "GRU": ("use_cudnn", "use_cudnn", "auto"),
}


def recover(model: Any, document: Any) -> None:
    """Writes into the document, in place, what Keras left out of the model's config."""
    if not isinstance(document, dict):
        return
    found = {layer.name: layer for layer in _layers(model)}
    for row in document.get("config", {}).get("layers", ()):
        name = row.get("config", {}).get("name") if isinstance(row, dict) else None
        layer = found.get(name)
        lost = _LOST.get(row["class_name"]) if layer is not None else None
        if lost is None:
            continue
        argument, attribute, default = lost
        value = _attribute(layer, attribute, default)
        if isinstance(value, str | int) and value != default:
            row["config"].setdefault(argument, value)


def _layers(model: Any) -> list[Any]:
    layers = getattr(model, "layers", ())
    return [layer for layer in layers if hasattr(layer, "name")]


def _attribute(layer: Any, path: str, default: Any) -> Any:
    value = layer
    for name in path.split("."):
        value = getattr(value, name, default)
    return value
