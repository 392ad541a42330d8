"""Functions and classes of the user, by the names under which a worker imports them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from fitfleet.errors import SpecError

_IN_BUILDER = ", or compile the model with it in a function, model=ff.builder(make_model)"
_LAMBDA = "a lambda has no name to find it by; write it as a function with `def`"


def check_reachable(value: Any, place: str) -> None:
    """Raises SpecError for a function or class that is no attribute of its module.

    A worker imports it from its source, so a lambda or a local function cannot be sent.
    """
    name = value.__qualname__
    if value.__name__ == "<lambda>":
        raise SpecError(place, _LAMBDA)
    if "<locals>" in name:
        outer = name.split(".<locals>")[0]
        raise SpecError(
            place,
            f"{value.__name__} is made inside {outer}() and cannot be sent; define it at the top"
            " level of a module or script, its arguments as those of a class with get_config"
            + ("" if place.startswith("callbacks") else _IN_BUILDER),
        )


@contextmanager
def names_recorded() -> Iterator[dict[str, Any]]:
    """A context in which Keras names unregistered objects `module>name`; {name: custom object}.

    Keras looks up the registered name of every class and function that it serialises, at any
    depth, and omits the module of those of a script and of all functions.
    """
    registration = sys.modules["keras.src.saving.object_registration"]
    before = registration.GLOBAL_CUSTOM_NAMES
    names = _Names(before)
    registration.GLOBAL_CUSTOM_NAMES = names  # type: ignore[attr-defined]
    try:
        yield names.recorded
    finally:
        registration.GLOBAL_CUSTOM_NAMES = before  # type: ignore[attr-defined]


class _Names(dict[Any, str]):
    """Keras's table of registered names, with an entry for each custom object."""

    def __init__(self, known: dict[Any, str]) -> None:
        super().__init__(known)
        self.recorded: dict[str, Any] = {}

    def __contains__(self, key: Any) -> bool:
        return super().__contains__(key) or _is_custom(key)

    def __getitem__(self, key: Any) -> str:
        name = self.get(key) or f"{key.__module__}>{key.__name__}"
        if _is_custom(key):
            self.recorded[name] = key
        return name


def _is_custom(value: Any) -> bool:
    return isinstance(value, type | FunctionType) and not is_of_keras(value.__module__)


class NotSerialisableError(SpecError):
    """Keras cannot serialise an object."""


def is_of_keras(module: str) -> bool:
    """Whether a module is of Keras or builtin, not the user's."""
    return module.partition(".")[0] in ("keras", "builtins")


def located(document: Any, recorded: dict[str, Any]) -> Any:
    """The document with the modules of the objects whose names were recorded."""
    if isinstance(document, list | tuple):
        return [located(part, recorded) for part in document]
    if not isinstance(document, dict):
        return document
    copy = {key: located(part, recorded) for key, part in document.items()}
    is_function = copy.get("class_name") == "function"
    name = copy.get("config" if is_function else "registered_name")
    if isinstance(name, str) and name in recorded:
        copy |= {"module": recorded[name].__module__, "registered_name": name}
    return copy


def qualified(document: Any) -> Any:
    """A serialised object with registered names for all unregistered ones in it.

    `losses>Focal` for a class, `losses>focal` for a function: module and name, under which a worker
    registers them when it has imported the module.
    """
    if isinstance(document, list | tuple):
        return [qualified(part) for part in document]
    if not isinstance(document, dict):
        return document
    copy = {key: qualified(part) for key, part in document.items()}
    module, name = copy.get("module"), copy.get("class_name")
    if not isinstance(module, str) or is_of_keras(module):
        return copy
    if name == "function" and isinstance(copy.get("config"), str):
        if ">" not in copy["config"]:
            copy["config"] = f"{module}>{copy['config']}"
        copy["registered_name"] = copy["config"]
    elif isinstance(name, str) and ">" not in str(copy.get("registered_name") or ""):
        copy["registered_name"] = f"{module}>{name}"
    return copy


def refuse_class(value: Any, place: str) -> None:
    """Raises SpecError for a class in place of an object."""
    if isinstance(value, type):
        name = value.__name__
        raise SpecError(place, f"{name} is a class; give an object of it, {name}(...)")


def refuse_lambdas(document: Any, place: str) -> None:
    """Raises SpecError for a lambda anywhere in a serialised object, such as an activation.

    The layer Lambda is refused by its name, with another message.
    """
    if isinstance(document, list | tuple):
        for index, part in enumerate(document):
            refuse_lambdas(part, f"{place}[{index}]")
    elif isinstance(document, dict) and _is_lambda(document):
        raise SpecError(place, _LAMBDA)
    elif isinstance(document, dict) and document.get("class_name") != "Lambda":
        for key, part in document.items():
            refuse_lambdas(part, place if key == "config" else f"{place}.{key}")


def _is_lambda(document: dict[str, Any]) -> bool:
    """Whether it is a serialised lambda: with a class, or as code, defaults and closure."""
    code = document.get("value") if len(document) == 1 else None
    is_code = isinstance(code, list | tuple) and len(code) == 3 and isinstance(code[0], str)
    return is_code or document.get("class_name") == "__lambda__"


def refuse_model_subclass(model: Any, place: str) -> None:
    """Raises SpecError for an object of a custom Model class: it is code, not data."""
    if hasattr(model, "train_step") and type(model).__module__.split(".")[0] != "keras":
        raise SpecError(place, model_subclass_refusal({"class_name": type(model).__name__}))


def model_subclass_refusal(document: dict[str, Any]) -> str:
    """Why such an object is refused, and what to use instead."""
    return (
        f"{document.get('class_name')} is a Model class of your own, and only code makes one;"
        " give a function that returns it, model=ff.builder(make_model)"
    )


def registered(name: str, place: str) -> dict[str, Any]:
    """The document of a class or function that this process has registered as `package>name`.

    A class has its default arguments, as in Keras's `get`. The name tells neither its module nor
    whether it is a class, so one that is not registered, as in a job file, raises SpecError with
    the form to use.
    """
    keras = sys.modules.get("keras")
    custom = None if keras is None else keras.saving.get_registered_object(name)
    if custom is None:
        raise SpecError(
            place,
            f"{name[:60]!r} is not registered in this program; give the object itself, or in a file"
            ' {module: ..., class_name: function, config: "package>name"}',
        )
    check_reachable(custom, place)
    is_function = isinstance(custom, FunctionType)
    return {
        "module": custom.__module__,
        "class_name": "function" if is_function else custom.__name__,
        "config": name if is_function else {},
        "registered_name": name,
    }
