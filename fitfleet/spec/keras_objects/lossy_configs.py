"""Arguments that Keras 3.15 omits when it serialises a layer: taken from the layer."""

from __future__ import annotations

from typing import Any

from fitfleet.errors import SpecError

# Class -> argument, attribute of the layer, and the value that need not be written.
_LOST = {
    "SimpleRNN": ("seed", "cell.seed", None),
    "LSTM": ("use_cudnn", "use_cudnn", "auto"),
    "GRU": ("use_cudnn", "use_cudnn", "auto"),
}


_LOOKUPS = ("IntegerLookup", "StringLookup", "TextVectorization")


def recover(model: Any, document: Any) -> None:
    """Write into the document what Keras omitted from the model's config.

    Raises SpecError for what cannot be written there.
    """
    if not isinstance(document, dict):
        return
    if document.get("class_name") == "Sequential":
        _check_frozen(model)
    layers = {layer.name: layer for layer in _layers(model)}
    for row in document.get("config", {}).get("layers", ()):
        name = row.get("config", {}).get("name") if isinstance(row, dict) else None
        layer = layers.get(name)
        if layer is not None:
            _recover_layer(layer, row)


def _check_frozen(model: Any) -> None:
    """Keras's Sequential.from_config forgets that the model as a whole is not trainable."""
    trained = () if getattr(model, "trainable", True) else _layers(model)
    for layer in trained:
        if layer.trainable and layer.weights:
            raise SpecError(
                "model",
                f"{model.name} is not trainable, so that Keras trains nothing of it, but its layer"
                f" {layer.name} is, and the config of a Sequential model keeps the latter alone;"
                f" set {layer.name}.trainable = False, or trainable = True of the model and False"
                " of its other layers",
            )


def _recover_layer(layer: Any, row: Any) -> None:
    if row["class_name"] in _LOOKUPS:
        write_vocabulary(layer, row["config"])
    if hasattr(layer, "layers"):  # a model in the model
        recover(layer, row)
    inner = row["config"].get("layer")
    if row["class_name"] == "TimeDistributed" and isinstance(inner, dict):
        _recover_layer(layer.layer, inner)
    lost = _LOST.get(row["class_name"])
    if lost is None:
        return
    argument, attribute, default = lost
    value = _attribute(layer, attribute, default)
    if isinstance(value, str | int) and value != default:
        row["config"].setdefault(argument, value)


def write_vocabulary(layer: Any, config: dict[str, Any]) -> None:
    """Write the vocabulary of `adapt`, which Keras writes to a file beside the config."""
    if config.get("vocabulary") is not None:
        return
    words = [getattr(word, "item", lambda word=word: word)() for word in _words(layer)]
    if not words:
        return  # neither set nor adapted, which is refused later
    config["vocabulary"] = words
    lookup = getattr(layer, "_lookup_layer", layer)
    weights = getattr(lookup, "idf_weights", None)
    if config.get("output_mode") == "tf_idf" and weights is not None:
        # The first weights are of unknown words: Keras computes them from the others. The
        # last are the padding up to max_tokens.
        first = lookup.num_oov_indices
        idf_weights = weights.numpy()[first : first + len(words)]
        config["idf_weights"] = [float(weight) for weight in idf_weights]


def _words(layer: Any) -> list[Any]:
    lookup = getattr(layer, "_lookup_layer", layer)
    if getattr(lookup, "lookup_table", None) is None and not lookup.vocabulary_size():
        return []
    return list(layer.get_vocabulary(include_special_tokens=False))


def _layers(model: Any) -> list[Any]:
    layers = getattr(model, "layers", ())
    return [layer for layer in layers if hasattr(layer, "name")]


def _attribute(layer: Any, path: str, default: Any) -> Any:
    value = layer
    for name in path.split("."):
        value = getattr(value, name, default)
    return value
