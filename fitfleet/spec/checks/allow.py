"""The allow-list: the classes and functions that a spec may contain.

By the names in a config Keras can be made to load any module, read files and run code; so every
name anywhere in the document is compared with the catalogue.
"""

from __future__ import annotations

import re
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.keras_names import catalog, disallowed_names
from fitfleet.spec.keras_objects.canonical import model_kind, refusal
from fitfleet.spec.keras_objects.object_documents import UNREGISTERED, is_custom, unknown
from fitfleet.spec.module_trust import is_trusted

# TensorFlow names a scope after each layer and model, and takes no other characters.
_SCOPE = re.compile(r"[A-Za-z0-9_.>\-]{1,128}")
# Inputs and metrics have no scope; their names are keys of the dataset and of the history.
_FREE = re.compile(r"[^/\\\x00-\x1f\x7f-\x9f]{1,128}")
_HAS_NO_SCOPE = ("InputLayer",)
# How Keras writes tensors, slices and constants between the nodes of a Functional model.
_TENSORS = ("__keras_tensor__", "__slice__", "__ellipsis__")
_ARRAYS = ("__numpy__", "__tensor__")
_ARRAY_DTYPES = (
    *("bool", "float16", "bfloat16", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
_KEYS = {
    "module",
    "class_name",
    "config",
    "registered_name",
    "name",
    "inbound_nodes",
    "shared_object_id",
}


def check_names(document: Any, place: str, settings: Settings) -> None:
    """Raises SpecError for a class, function, module or name that a worker may not load."""
    if isinstance(document, list):
        for index, part in enumerate(document):
            check_names(part, f"{place}[{index}]", settings)
    elif isinstance(document, dict):
        if document.get("class_name") in _ARRAYS and place.startswith("callbacks["):
            return _check_array(document, place)
        if "class_name" in document:
            _check_class(document, place, settings)
            _check_name(document, place)
        elif "module" in document or "registered_name" in document:
            raise SpecError(place, "it names a module but no class")
        for key, part in document.items():
            if key != "inbound_nodes" or not isinstance(part, list):
                check_names(part, _below(place, key), settings)
            else:
                _check_calls(part, f"{place}.{key}", settings)


def _check_calls(nodes: Any, place: str, settings: Settings) -> None:
    """Check the arguments of a layer's calls, the only place for constant arrays."""
    if isinstance(nodes, dict) and nodes.get("class_name") in _ARRAYS:
        _check_array(nodes, place)
    elif isinstance(nodes, dict) and "class_name" not in nodes and "module" not in nodes:
        for key, part in nodes.items():
            _check_calls(part, f"{place}.{key}", settings)
    elif isinstance(nodes, list):
        for index, part in enumerate(nodes):
            _check_calls(part, f"{place}[{index}]", settings)
    else:
        check_names(nodes, place, settings)


def _check_array(document: dict[str, Any], place: str) -> None:
    config = document.get("config")
    if set(document) - _KEYS or not isinstance(config, dict) or set(config) - {"value", "dtype"}:
        raise SpecError(place, "it is not a constant array as Keras writes it")
    if config.get("dtype") not in _ARRAY_DTYPES or _array_shape(config.get("value")) is None:
        raise SpecError(place, "a constant is an array of numbers, all its rows equally long")


def _array_shape(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, bool | int | float):
        return ()
    if not isinstance(value, list):
        return None
    shapes = {_array_shape(part) for part in value}
    if len(shapes) > 1 or None in shapes:
        return None
    return (len(value), *next(iter(shapes), ()))  # type: ignore[misc]


def _below(place: str, key: str) -> str:
    """The place as users write it: without the `config` levels of Keras."""
    return place if key == "config" else f"{place}.{key}"


def _check_name(document: dict[str, Any], place: str) -> None:
    """Check the name of an object: that beside its config, or in it."""
    config = document.get("config")
    names = [document.get("name")]
    if isinstance(config, dict):
        names.append(config.get("name"))
    is_free = (
        document.get("class_name") in _HAS_NO_SCOPE or document.get("module") == "keras.metrics"
    )
    for name in names:
        if name is None or isinstance(name, dict):
            continue
        shown = repr(name)[:40]
        if not isinstance(name, str):
            raise SpecError(f"{place}.name", f"{shown} is not a name")
        if not (_FREE if is_free else _SCOPE).fullmatch(name):
            raise SpecError(
                f"{place}.name",
                f"{shown} is not allowed as a name: inputs and metrics have up to 128 characters"
                " without a slash"
                if is_free
                else f"{shown} is not a name for TensorFlow: it takes letters, digits, '_', '.',"
                " '-' and '>', no blanks",
            )


def _check_class(document: dict[str, Any], place: str, settings: Settings) -> None:
    name, module = document["class_name"], document.get("module")
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        raise SpecError(place, f"unknown entries: {', '.join(unknown)[:60]}")
    if not isinstance(name, str) or not isinstance(module, str | None):
        raise SpecError(place, "a class and its module are given by their names")
    if name in _TENSORS and module is None:
        _check_tensor(document, place)
    elif name in _ARRAYS:
        raise SpecError(place, "a constant array is allowed only among the arguments of a call")
    elif name.startswith("__"):
        raise SpecError(place, f"{name} is refused: it carries code or raw data")
    elif is_custom(document):
        _check_custom(document, place, settings)
    elif name == "function":
        raise SpecError(place, _function_refusal(document))
    elif not _is_keras(name, module, document):
        raise SpecError(place, _refusal(name, module))


def _is_keras(name: str, module: str | None, document: dict[str, Any]) -> bool:
    if document.get("registered_name") not in (None, name):
        return False
    if isinstance(module, str) and module.startswith("keras.src.ops."):
        return catalog.operation(module, name) is not None
    if model_kind(document) is not None or (module, name) == ("keras", "DTypePolicy"):
        return True
    kind = catalog.KINDS.get(module or "", "layers")
    signature = catalog.signature(kind, name)
    return signature is not None and signature.module == module


def _function_refusal(document: dict[str, Any]) -> str:
    name = str(document.get("config"))[:40]
    return (
        f"the function {name} cannot be named here; Keras finds only its own activations, losses"
        " and metrics by name. In a Functional model call it on the tensor, as in"
        f" keras.ops.{name}(x); a function of yours belongs in a module that workers trust"
    )


def _refusal(name: str, module: str | None) -> str:
    kind = catalog.KINDS.get(module or "")
    if str(module).startswith("keras.src.ops."):
        why = disallowed_names.operation_reason(name)
        return f"the operator {name} is refused: {why}"
    if kind == "layers" or name == "Lambda":
        return refusal(name)
    if kind is not None:
        return unknown(kind, name)
    return f"{name} of {module} is not allowed"


def _check_custom(document: dict[str, Any], place: str, settings: Settings) -> None:
    module = document.get("module")
    name = document.get("registered_name") or document["class_name"]
    if isinstance(module, str) and is_trusted(module, settings):
        if ">" not in str(name):
            raise SpecError(place, f"{name}: {UNREGISTERED}")
        return
    if module == "__main__":
        raise SpecError(
            place, f"{name} is defined in the script itself; move it to a module that workers trust"
        )
    argument, keras_name = place.rpartition(".")[2], _of_tensorflow(name, module)
    if argument.endswith("activation") and keras_name is not None:
        raise SpecError(
            place,
            f"{str(name).rpartition('>')[2]} of module {module!r} is TensorFlow's, which a config"
            f' does not name; give Keras\'s own, {argument}="{keras_name}"',
        )
    raise SpecError(
        place,
        f"{name} of module {module!r} is not Keras's; a worker runs it only when its module is in "
        "the setting trusted_modules",
    )


def _of_tensorflow(name: Any, module: Any) -> str | None:
    """Keras's activation with the name of a TensorFlow function such as tf.nn.gelu."""
    if str(module).split(".")[0] != "tensorflow":
        return None
    return catalog.function_name("activations", str(name).rpartition(">")[2])


def _check_tensor(document: dict[str, Any], place: str) -> None:
    if document["class_name"] != "__keras_tensor__":
        return
    config = document.get("config")
    shape = config.get("shape") if isinstance(config, dict) else None
    if not isinstance(config, dict) or set(config) - {"shape", "dtype", "keras_history"}:
        raise SpecError(place, "it is not the description of a tensor")
    if not isinstance(shape, list) or len(shape) > 12:
        raise SpecError(place, f"{shape!r:.40} is not the shape of a tensor")
    for size in shape:
        if size is not None and (type(size) is not int or not 0 <= size <= 10**9):
            raise SpecError(place, f"{size!r:.20} is not a dimension of a tensor")
