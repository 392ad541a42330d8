"""A model's config in canonical form: defaults left out, names as in a fresh process.

The canonical form is a Keras config, too, and the only form that is stored, hashed and loaded. The
order of layers and nodes is kept, since the seeds of the initial weights depend on it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.keras_names import catalog, disallowed_names
from fitfleet.spec.keras_objects.naming import rename
from fitfleet.spec.keras_objects.object_documents import (
    argument_value,
    built_in,
    dtype_name,
    is_custom,
    is_space,
    snake_case,
)
from fitfleet.text import with_article

SEQUENTIAL = ("keras", "Sequential")
FUNCTIONAL = ("keras.src.models.functional", "Functional")
_OPERATIONS = "keras.src.ops."
_MODEL_MODULES = {
    "Sequential": ("keras", "keras.models", "keras.src.models.sequential"),
    "Functional": ("keras", "keras.models", "keras.src.models.functional"),
    "Model": ("keras", "keras.models", "keras.src.models.functional"),
}


def canonical_model(document: dict[str, Any], place: str = "model") -> dict[str, Any]:
    """The canonical config of a Sequential or Functional model. Raises SpecError."""
    model = _model(document, place)
    if _dtypes(model) == {"float32"}:
        _drop_dtypes(model)
    return rename(model)


def without_default_dtypes(model: dict[str, Any]) -> dict[str, Any]:
    """The model for a job without a dtype policy, in which "float32" is the default of layers."""
    if not _dtypes(model) <= {"float32", "None"}:
        return model
    model = copy.deepcopy(model)
    _drop_dtypes(model)
    return model


def model_kind(document: Any) -> str | None:
    """ "Sequential" or "Functional" if the document is such a model, else None."""
    if not isinstance(document, dict):
        return None
    name, module = document.get("class_name"), document.get("module", "keras")
    if not isinstance(name, str) or module not in _MODEL_MODULES.get(name, ()):
        return None
    return "Functional" if name == "Model" else name


def _model(document: dict[str, Any], place: str) -> dict[str, Any]:
    kind = model_kind(document)
    if kind is None or is_custom(document):
        raise SpecError(place, f"{_described(document)} is not a Sequential or Functional model")
    config = document.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise SpecError(f"{place}.config", "a model's config needs a list of layers")
    keep = {"name", "layers", "build_input_shape", "input_layers", "output_layers"}
    unknown = set(config) - keep - {"trainable", "dtype"}
    if unknown:
        raise SpecError(f"{place}.config", f"unknown entries: {', '.join(sorted(unknown))}")
    new = {key: config[key] for key in keep if config.get(key) is not None}
    if config.get("trainable") is False:
        new["trainable"] = False
    new["layers"] = [
        canonical_layer(layer, f"{place}.layers[{i}]") for i, layer in enumerate(layers)
    ]
    new.setdefault("name", kind.lower())
    if kind == "Sequential" and _starts_with_input(new["layers"]):
        new.pop("build_input_shape", None)
    module, class_name = SEQUENTIAL if kind == "Sequential" else FUNCTIONAL
    return _with_nodes(document, {"module": module, "class_name": class_name, "config": new})


def _starts_with_input(layers: list[dict[str, Any]]) -> bool:
    return bool(layers) and layers[0].get("class_name") == "InputLayer"


def _with_nodes(document: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The layer with its connections in a Functional model."""
    for key in ("name", "inbound_nodes", "shared_object_id"):
        if key in document:
            new[key] = document[key]
    return new


def canonical_layer(document: Any, place: str) -> Any:
    """The canonical config of one layer, wrapped layers, cells and nested models included."""
    if is_space(document):
        return document
    if not isinstance(document, dict) or not isinstance(document.get("class_name"), str):
        raise SpecError(place, f"{_described(document)} is not the config of a layer")
    config = document.get("config")
    for name in (document.get("name"), config.get("name") if isinstance(config, dict) else None):
        if not isinstance(name, str | None):
            raise SpecError(f"{place}.name", f"{repr(name)[:40]} is not a name")
    if model_kind(document) is not None and not is_custom(document):
        return _model(document, place)
    module = document.get("module", "keras.layers")
    if isinstance(module, str) and module.startswith(_OPERATIONS):
        new = {"module": module, "class_name": document["class_name"]}
        return _with_nodes(document, {**new, "config": document.get("config") or {}})
    if is_custom(document):
        kept = ("module", "class_name", "config", "registered_name")
        return _with_nodes(document, {key: document[key] for key in kept if key in document})
    name = catalog.class_name("layers", document["class_name"])
    signature = catalog.signature("layers", name) if name else None
    if (
        name is None
        or signature is None
        or module not in (signature.module, "keras.layers", "keras")
    ):
        raise SpecError(place, refusal(document["class_name"], module))
    config = document.get("config")
    if not isinstance(config, dict):
        raise SpecError(f"{place}.config", "it must be an object of arguments")
    return _with_nodes(document, _layer(name, config, place))


def refusal(name: str, module: Any = "keras.layers") -> str:
    """Why a layer that is not in the catalogue is refused, with the nearest names."""
    why = disallowed_names.reason("layers", name)
    if why is not None:
        return f"{name} is refused: {why}"
    where = "" if module == "keras.layers" else f" of {str(module)[:60]}"
    return f"{name[:60]}{where} is not a known layer; {catalog.nearest(name, layer_names())}"


def layer_names() -> list[str]:
    """All names that a layer may be called by, `Input` included."""
    return ["Input", *catalog.class_names("layers")]


def _layer(name: str, config: dict[str, Any], place: str) -> dict[str, Any]:
    config = dict(config)
    for key in ("layer", "backward_layer", "cell"):
        if isinstance(config.get(key), dict):
            config[key] = canonical_layer(config[key], f"{place}.{key}")
    if isinstance(config.get("cells"), list):
        cells = config["cells"]
        config["cells"] = [
            canonical_layer(cell, f"{place}.cells[{i}]") for i, cell in enumerate(cells)
        ]
    if name == "InputLayer":
        return {"module": "keras.layers", "class_name": name, "config": _input(config, place)}
    for key in [key for key in _NEVER_LOADED if config.get(key, 0) is None]:
        del config[key]
    if name == "Bidirectional":
        _simplify_bidirectional(config)
    layer = built_in("layers", name, config, place)
    _drop_followers(name, layer["config"])
    return layer


# Keras writes them into every config; other values are refused as unknown arguments.
_NEVER_LOADED = (
    "quantization_config",
    "lora_rank",
    "lora_alpha",
    "weights",
    "gptq_unpacked_column_size",
)


def _input(config: dict[str, Any], place: str) -> dict[str, Any]:
    """`shape` and `batch_size` become `batch_shape`, as Keras itself writes it."""
    signature = catalog.signature("layers", "InputLayer")
    assert signature is not None
    for argument in config:
        if argument not in signature.known:
            hint = catalog.nearest(argument, signature.known)
            raise SpecError(f"{place}.{argument}", f"Input has no such argument; {hint}")
    shape, batch_shape = config.get("shape"), config.get("batch_shape")
    if shape is not None and not is_space(shape):
        if not isinstance(shape, list | tuple):
            raise SpecError(f"{place}.shape", f"{shape!r} is not a list of dimensions")
        batch_shape = [config.get("batch_size"), *shape]
    if batch_shape is None and shape is None:
        raise SpecError(f"{place}.shape", "Input needs a shape, without the batch dimension")
    new = {"batch_shape": batch_shape} if batch_shape is not None else {"shape": shape}
    if isinstance(batch_shape, tuple):
        new["batch_shape"] = list(batch_shape)
    dtype = dtype_name(config.get("dtype"), f"{place}.dtype")
    if dtype not in (None, "float32"):
        new["dtype"] = dtype
    for key in ("sparse", "ragged", "optional"):
        if config.get(key):
            new[key] = config[key]
    if config.get("name") is not None:
        new["name"] = config["name"]
    return new


def _simplify_bidirectional(config: dict[str, Any]) -> None:
    """Remove a backward layer that equals Keras's default, and default names."""
    forward, backward = config.get("layer"), config.get("backward_layer")
    if isinstance(forward, dict):
        _unprefix(forward, "forward_")
        _config(forward).pop("zero_output_for_mask", None)
    if isinstance(backward, dict):
        _unprefix(backward, "backward_")
        _config(backward).pop("zero_output_for_mask", None)
        if isinstance(forward, dict) and _is_mirror(forward, backward):
            config["backward_layer"] = None


def _unprefix(layer: dict[str, Any], prefix: str) -> None:
    config = _config(layer)
    if isinstance(config.get("name"), str):
        config["name"] = config["name"].removeprefix(prefix)


def _config(layer: dict[str, Any]) -> dict[str, Any]:
    """The canonical config of a layer; that of a custom layer is unchanged."""
    return config if isinstance(config := layer.get("config"), dict) else {}


def _is_mirror(forward: dict[str, Any], backward: dict[str, Any]) -> bool:
    left, right = ({**_config(layer), "name": None} for layer in (forward, backward))
    if not left.pop("go_backwards", False):
        left["go_backwards"] = True
    return forward.get("class_name") == backward.get("class_name") and left == right


def _drop_followers(name: str, config: dict[str, Any]) -> None:
    """Remove arguments that equal Keras's default, which depends on another argument."""
    if "Pooling" in name and "strides" in config:
        pool_size = config.get("pool_size", [2] * int(re.sub(r"\D", "", name) or 1))
        if config["strides"] == pool_size:
            del config["strides"]
    if name == "MultiHeadAttention" and config.get("value_dim") == config.get("key_dim"):
        config.pop("value_dim", None)
    for key in ("kernel_size", "pool_size", "strides", "dilation_rate", "size"):
        value = config.get(key)
        rank = re.search(r"(\d)D", name)
        if rank and isinstance(value, int) and not isinstance(value, bool):
            config[key] = [value] * int(rank.group(1))


def nodes(document: Any) -> Iterator[dict[str, Any]]:
    """Every dict with a class name in a document, outermost first."""
    if isinstance(document, dict):
        if "class_name" in document:
            yield document
        for value in document.values():
            yield from nodes(value)
    elif isinstance(document, list):
        for value in document:
            yield from nodes(value)


def _layers_with_dtype(document: Any) -> Iterator[dict[str, Any]]:
    for node in nodes(document):
        is_layer = node.get("module") == "keras.layers" and node["class_name"] != "InputLayer"
        if is_layer and isinstance(node.get("config"), dict):
            yield node["config"]


def _dtypes(document: Any) -> set[Any]:
    return {str(config.get("dtype")) for config in _layers_with_dtype(document)}


def _drop_dtypes(document: Any) -> None:
    for config in _layers_with_dtype(document):
        config.pop("dtype", None)


def _described(document: Any) -> str:
    if isinstance(document, dict) and "class_name" in document:
        module, name = (str(document.get(k))[:60] for k in ("module", "class_name"))
        return f"{'' if 'module' not in document else module + '.'}{name}"
    return with_article(type(document).__name__)


__all__ = [
    "FUNCTIONAL",
    "SEQUENTIAL",
    "argument_value",
    "canonical_layer",
    "canonical_model",
    "layer_names",
    "model_kind",
    "nodes",
    "refusal",
    "snake_case",
]
