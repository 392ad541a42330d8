"""The allow-list: which classes and functions may stand anywhere in a spec.

Keras can be made to load any module, read files and run code by the names in a config; so every
named thing in every corner of the document is held against the catalogue.
"""

from __future__ import annotations

import re
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec import catalog
from fitfleet.spec.canonical import model_kind, refusal
from fitfleet.spec.merging import ELEMENTWISE
from fitfleet.spec.reference import UNREGISTERED, is_custom
from fitfleet.spec.trust import is_trusted

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
# Pure functions of tensors that Keras writes into Functional configs (masks, operators).
_OPERATIONS = ELEMENTWISE | set(
    """
    GetItem Concatenate Stack Reshape Transpose ExpandDims Squeeze Mean Sum Max Min Matmul Clip
    Any All Softmax Relu Sigmoid
    """.split()  # noqa: SIM905
)
_OPERATION_MODULES = ("keras.src.ops.numpy", "keras.src.ops.nn")
# How Keras writes tensors and slices between the nodes of a Functional model.
_TENSORS = ("__keras_tensor__", "__slice__", "__ellipsis__")
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
    """Raises SpecError for a class, function, module or name that no worker should load."""
    if isinstance(document, list):
        for index, part in enumerate(document):
            check_names(part, f"{place}[{index}]", settings)
    elif isinstance(document, dict):
        if "class_name" in document:
            _check_class(document, place, settings)
        elif "module" in document or "registered_name" in document:
            raise SpecError(place, "it names a module but no class")
        _check_name(document.get("name"), place)
        for key, part in document.items():
            check_names(part, _below(place, key), settings)


def _below(place: str, key: str) -> str:
    """The place as a user sees it: Keras's `config` levels are not written by anybody."""
    return place if key == "config" else f"{place}.{key}"


def _check_name(name: Any, place: str) -> None:
    if name is None or (isinstance(name, str) and _NAME.fullmatch(name)):
        return
    if isinstance(name, str | int | float | bool):
        shown = repr(name)[:40]
        raise SpecError(f"{place}.name", f"{shown} is not a name: letters, digits, '_', '.', '-'")


def _check_class(document: dict[str, Any], place: str, settings: Settings) -> None:
    name, module = document["class_name"], document.get("module")
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        raise SpecError(place, f"unknown entries: {', '.join(unknown)[:60]}")
    if not isinstance(name, str) or not isinstance(module, str | None):
        raise SpecError(place, "a class and its module are given by their names")
    if name in _TENSORS and module is None:
        _check_tensor(document, place)
    elif name.startswith("__"):
        raise SpecError(place, f"{name} is refused: it carries code or raw data")
    elif is_custom(document):
        _check_custom(document, place, settings)
    elif name == "function":
        raise SpecError(place, f"the function {document.get('config')!r:.60} is not allowed")
    elif not _is_keras(name, module, document):
        raise SpecError(place, _refusal(name, module))


def _is_keras(name: str, module: str | None, document: dict[str, Any]) -> bool:
    if document.get("registered_name") not in (None, name):
        return False
    if module in _OPERATION_MODULES:
        return name in _OPERATIONS
    if model_kind(document) is not None or (module, name) == ("keras", "DTypePolicy"):
        return True
    kind = catalog.KINDS.get(module or "")
    return kind is not None and catalog.signature(kind, name) is not None


def _refusal(name: str, module: str | None) -> str:
    kind = catalog.KINDS.get(module or "")
    if kind == "layers" or name == "Lambda":
        return refusal(name)
    if kind is not None:
        return f"{name} is not allowed; {catalog.nearest(name, catalog.class_names(kind))}"
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
    raise SpecError(
        place,
        f"{name} of module {module!r} is not Keras's; a worker runs it only when its module is in "
        "the setting trusted_modules",
    )


def _check_tensor(document: dict[str, Any], place: str) -> None:
    if document["class_name"] != "__keras_tensor__":
        return
    config = document.get("config")
    shape = config.get("shape") if isinstance(config, dict) else None
    if not isinstance(config, dict) or set(config) - {"shape", "dtype", "keras_history"}:
        raise SpecError(place, "it is not the description of a tensor")
    if not isinstance(shape, list) or len(shape) > 8:
        raise SpecError(place, f"{shape!r:.40} is not the shape of a tensor")
    for size in shape:
        if size is not None and (type(size) is not int or not 0 <= size <= 10**9):
            raise SpecError(place, f"{size!r:.20} is not a dimension of a tensor")
