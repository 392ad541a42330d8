"""One way to write each Keras object: `{"module", "class_name", "config"}` less the defaults.

"glorot_uniform", {"class_name": "GlorotUniform"}, the short form {"GlorotUniform": {}} and what
Keras itself serialises all end as the same dict, so equal jobs hash alike.
"""

from __future__ import annotations

import functools
import re
import sys
import types
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.keras_names import catalog, disallowed_names
from fitfleet.spec.keras_names.argument_kinds import check_kind, check_pieces
from fitfleet.spec.keras_objects.custom_objects import (
    NotSerialisableError,
    check_reachable,
    is_of_keras,
    located,
    names_recorded,
    qualified,
    refuse_class,
    refuse_lambdas,
    refuse_model_subclass,
    registered,
)
from fitfleet.spec.keras_objects.omitted_arguments import TOLD_FLOAT32, complete, is_told_float32
from fitfleet.spec.number_forms import one_number, shortest
from fitfleet.text import named_kind

UNREGISTERED = (
    "Keras finds a class or function of yours only by its registered name; decorate it with "
    '@keras.saving.register_keras_serializable(package="...") in a module that workers trust'
)
# Kinds whose numbers Keras keeps as float32.
_FLOAT32_KINDS = ("regularizers", "optimizers", "callbacks")
# Their arguments have rules of their own.
_UNCHECKED = ("optimizers", "callbacks")


def is_space(value: Any) -> bool:
    """Whether the value is the JSON form of a search space."""
    return isinstance(value, dict) and "$space" in value


def to_document(value: Any, place: str) -> Any:
    """A Keras object as Keras's own serialisation gives it, without importing Keras; other values
    unchanged. An object of Keras exists only when its caller has imported it.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {key: to_document(part, f"{place}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(part, f"{place}[{i}]") for i, part in enumerate(value)]
    if hasattr(value, "to_space"):
        return value.to_space()
    if hasattr(value, "to_layer"):
        return value.to_layer()
    if isinstance(value, types.FunctionType):
        return _function(value, place)
    refuse_class(value, place)
    keras = sys.modules.get("keras")
    if keras is not None and (
        hasattr(value, "get_config") or type(value).__module__[:5] == "keras"
    ):
        return _serialised(keras, value, place)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a NumPy scalar
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise SpecError(place, f"{named_kind(value)} cannot be written as JSON")


def _function(value: types.FunctionType, place: str) -> dict[str, Any]:
    """A function by its module and registered name; Keras itself forgets a user's module."""
    name, module = value.__name__, value.__module__
    if module.split(".")[0] == "keras":
        return {"module": "builtins", "class_name": "function", "config": name}
    check_reachable(value, place)
    keras = sys.modules.get("keras")
    if keras is not None:
        name = keras.saving.get_registered_name(value)
    reference = {"module": module, "class_name": "function", "config": name}
    return {**reference, **qualified({**reference, "registered_name": name})}


def _serialised(keras: Any, value: Any, place: str) -> Any:
    refuse_model_subclass(value, place)
    try:
        with names_recorded() as recorded:
            document = located(keras.saving.serialize_keras_object(value), recorded)
    except Exception as error:  # Keras raises many kinds; all mean the same here
        reason = f"Keras cannot serialise it: {_first_sentence(error)}"
        raise NotSerialisableError(place, reason) from None
    refuse_lambdas(document, place)
    complete(value, document, place)
    for custom in recorded.values():
        check_reachable(custom, place)
    return to_document(document, place)


def is_custom(document: dict[str, Any]) -> bool:
    """Whether a serialised object is of a class or function that does not belong to Keras."""
    module = document.get("module")
    name = document.get("registered_name")
    if isinstance(name, str) and ">" in name:
        return True
    return isinstance(module, str) and not is_of_keras(module)


def reference(kind: str, value: Any, place: str) -> Any:
    """The canonical dict of an optimizer, initializer, ... given in any of its forms.

    None stays None, and the document of a custom class or a search space stays as it is.
    Raises SpecError for a name that Keras does not have, with the nearest ones.
    """
    if value is None or is_space(value):
        return value
    if isinstance(value, dict) and is_custom(value):
        return value
    if isinstance(value, str) and ">" in value:
        return registered(value, place)
    name, config = (value, {}) if isinstance(value, str) else _parts(value, place)
    class_name = catalog.class_name(kind, name)
    if class_name is None:
        raise SpecError(place, unknown(kind, name))
    return built_in(kind, class_name, config, place)


def unknown(kind: str, name: str) -> str:
    """What is wrong with a name: why it is refused if Keras has it, else the nearest ones."""
    why = disallowed_names.reason(kind, name)
    if why is not None:
        return f"{name} is refused: {why}"
    return f"{name} is unknown; {catalog.nearest(name, catalog.identifiers(kind))}"


def _parts(value: Any, place: str) -> tuple[str, dict[str, Any]]:
    """Name and arguments, of Keras's form and of the short form `{"Name": {...}}`."""
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        config = value.get("config")
        if config is None or isinstance(config, dict):
            return value["class_name"], config or {}
        raise SpecError(f"{place}.config", "it must be an object of arguments")
    if isinstance(value, dict) and len(value) == 1:
        ((name, config),) = value.items()
        if isinstance(name, str) and (config is None or isinstance(config, dict)):
            return name, config or {}
    raise SpecError(
        place,
        f"{_shown(value)} is not a name, a Keras config or the short form "
        '{"Name": {"argument": value}}',
    )


def built_in(kind: str, name: str, config: dict[str, Any], place: str) -> dict[str, Any]:
    """The canonical dict of a class of Keras: arguments checked by name, defaults left out."""
    signature = catalog.signature(kind, name)
    if signature is None:
        raise SpecError(place, unknown(kind, name))
    check_names(signature, config, place)
    canonical = {}
    for argument, value in config.items():
        at, default = f"{place}.{argument}", signature.defaults.get(argument)
        value = argument_value(kind, argument, value, at)
        if kind not in _UNCHECKED and not is_space(value):
            check_kind(kind, argument, value, default, at)
        value = one_number(value, default, argument)
        if argument in signature.needed or not _is_default(signature, argument, value):
            canonical[argument] = value
    for argument in signature.needed:
        canonical.setdefault(argument, _default(kind, name, argument))
    if name == "PiecewiseConstantDecay" and not any(map(is_space, canonical.values())):
        check_pieces(canonical, place)
    _drop_own_names(kind, name, canonical)
    return {"module": signature.module, "class_name": name, "config": canonical}


def check_names(signature: catalog.Signature, config: dict[str, Any], place: str) -> None:
    """Raises SpecError for an argument that is unknown, or for a required one that is absent."""
    for argument in config:
        if argument not in signature.known:
            hint = catalog.nearest(argument, signature.known)
            raise SpecError(f"{place}.{argument}", f"{signature.name} has no such argument; {hint}")
    for argument in signature.required:
        if argument not in config:
            raise SpecError(f"{place}.{argument}", f"{signature.name} needs this argument")


def argument_value(kind: str, argument: str, value: Any, place: str) -> Any:
    """An argument in canonical form: named objects resolved, tuples as lists, short floats."""
    if argument.endswith("_initializer"):
        return reference("initializers", value, place)
    if argument.endswith("_regularizer"):
        return reference("regularizers", value, place)
    if argument.endswith("_constraint"):
        return reference("constraints", value, place)
    if argument == "dtype":
        return dtype_name(value, place, kind)
    if argument in ("learning_rate", "schedule") and isinstance(value, dict):
        return reference("schedules", value, place)
    if argument.endswith("activation"):
        return activation(value, place)
    if isinstance(value, tuple):
        return list(value)
    if kind in _FLOAT32_KINDS and isinstance(value, float):
        return shortest(value)
    return value


def activation(value: Any, place: str) -> Any:
    """An activation by its function's own name; a layer as activation as a canonical layer."""
    if value is None:
        return "linear"
    if isinstance(value, dict) and value.get("class_name") == "function" and not is_custom(value):
        value = value.get("config")
    if isinstance(value, str):
        name = catalog.function_name("activations", value)
        if name is not None:
            return name
        if ">" in value or catalog.class_name("layers", value) is not None:
            return reference("layers", value, place)
        if value in catalog.operators():
            raise SpecError(
                place,
                f"Keras does not find the operator {value} by name; in a Functional model call"
                f" keras.ops.{value}(x) on the layer's output",
            )
        known = catalog.identifiers("activations")
        raise SpecError(place, f"{value} is unknown; {catalog.nearest(value, known)}")
    if isinstance(value, dict):
        return reference("layers", value, place)
    raise SpecError(place, f"{_shown(value)} is not the name of an activation")


def dtype_name(value: Any, place: str, kind: str = "layers") -> Any:
    """A dtype policy by its name: `mixed_float16`. Losses and metrics keep one they were told."""
    if kind in ("losses", "metrics") and is_told_float32(value):
        return TOLD_FLOAT32
    if isinstance(value, dict) and value.get("class_name") == "DTypePolicy":
        config = value.get("config")
        value = config.get("name") if isinstance(config, dict) else value
    if value is None or isinstance(value, str) or is_space(value):
        return value
    raise SpecError(place, f"{_shown(value)} is not the name of a dtype")


def _is_default(signature: catalog.Signature, argument: str, value: Any) -> bool:
    if argument not in signature.defaults:
        return False
    return _same(value, _default(signature.kind, signature.name, argument))


@functools.cache
def _default(kind: str, name: str, argument: str) -> Any:
    signature = catalog.signature(kind, name)
    assert signature is not None
    return argument_value(kind, argument, signature.defaults[argument], argument)


def _same(value: Any, default: Any) -> bool:
    """Equal, also where Keras makes a list of one number: strides=1 is [1, 1]."""
    if isinstance(value, bool) != isinstance(default, bool):
        return False
    if isinstance(default, list) and default and isinstance(value, int):
        return all(part == value for part in default)
    return bool(value == default)


def _drop_own_names(kind: str, name: str, config: dict[str, Any]) -> None:
    """Drop names that Keras made up, and the default dtype."""
    if kind in ("optimizers", "schedules", "losses"):
        config.pop("name", None)
    dtype = "int64" if name.endswith("IoU") else "float32"
    if kind in ("metrics", "losses") and config.get("dtype") in (dtype, None):
        config.pop("dtype", None)
    if kind == "metrics" and config.get("name") in (None, snake_case(name)):
        config.pop("name", None)


def snake_case(name: str) -> str:
    """The name that Keras gives to an object of a class: TopKAccuracy → top_k_accuracy."""
    text = re.sub(r"\W+", "", name)
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _first_sentence(error: BaseException) -> str:
    """The first paragraph of Keras's message, on one line."""
    text = " ".join(str(error).strip().split("\n\n")[0].split())
    return text[:500] or type(error).__name__
