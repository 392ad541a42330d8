"""Functions and classes of the user, by the names under which a worker finds them again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from fitfleet.errors import SpecError


def check_reachable(value: Any, place: str) -> None:
    """SpecError for a function or class that its module does not have by its own name.

    A worker imports it from its source, so a lambda or what a function made has no way there.
    """
    name = value.__qualname__
    if value.__name__ == "<lambda>":
        raise SpecError(
            place, "a lambda has no name to find it by; write it as a function with `def`"
        )
    if "<locals>" in name:
        outer = name.split(".<locals>")[0]
        raise SpecError(
            place,
            f"{value.__name__} is made inside {outer}() and cannot be sent; define it at the top"
            " level of a module or script, its arguments as those of a class with get_config",
        )


@contextmanager
def names_recorded() -> Iterator[dict[str, Any]]:
    """Meanwhile Keras calls what is not registered `module>name`; name -> object of the user's.

    Keras asks for the registered name of every class and function that it serialises, at any
    depth, and forgets the module of those of a script and of all functions.
    """
    registration = sys.modules["keras.src.saving.object_registration"]
    before = registration.GLOBAL_CUSTOM_NAMES
    names = _Names(before)
    registration.GLOBAL_CUSTOM_NAMES = names  # type: ignore[attr-defined]
    try:
        yield names.found
    finally:
        registration.GLOBAL_CUSTOM_NAMES = before  # type: ignore[attr-defined]


class _Names(dict[Any, str]):
    """Keras's table of registered names, with one for every object of the user's."""

    def __init__(self, known: dict[Any, str]) -> None:
        super().__init__(known)
        self.found: dict[str, Any] = {}

    def __contains__(self, key: Any) -> bool:
        return super().__contains__(key) or _is_own(key)

    def __getitem__(self, key: Any) -> str:
        name = self.get(key) or f"{key.__module__}>{key.__name__}"
        if _is_own(key):
            self.found[name] = key
        return name


def _is_own(value: Any) -> bool:
    if not isinstance(value, type | FunctionType):
        return False
    return value.__module__.split(".")[0] not in ("keras", "builtins")


def located(document: Any, found: dict[str, Any]) -> Any:
    """The document with the modules of the objects whose names were recorded."""
    if isinstance(document, list | tuple):
        return [located(part, found) for part in document]
    if not isinstance(document, dict):
        return document
    made = {key: located(part, found) for key, part in document.items()}
    is_function = made.get("class_name") == "function"
    name = made.get("config" if is_function else "registered_name")
    if isinstance(name, str) and name in found:
        made |= {"module": found[name].__module__, "registered_name": name}
    return made


def qualified(document: Any) -> Any:
    """A serialised object, at any depth, with a registered name for what is not registered.

    `losses>Focal` for a class, `losses>focal` for a function: module and name, as a worker that
    has imported the module registers them.
    """
    if isinstance(document, list | tuple):
        return [qualified(part) for part in document]
    if not isinstance(document, dict):
        return document
    found = {key: qualified(part) for key, part in document.items()}
    module, name = found.get("module"), found.get("class_name")
    if not isinstance(module, str) or module.split(".")[0] in ("keras", "builtins"):
        return found
    if name == "function" and isinstance(found.get("config"), str):
        if ">" not in found["config"]:
            found["config"] = f"{module}>{found['config']}"
        found["registered_name"] = found["config"]
    elif isinstance(name, str) and ">" not in str(found.get("registered_name") or ""):
        found["registered_name"] = f"{module}>{name}"
    return found


def refuse_own_model(model: Any, place: str) -> None:
    """SpecError for an object of a Model class of the user's own: it is code, not data."""
    if hasattr(model, "train_step") and type(model).__module__.split(".")[0] != "keras":
        raise SpecError(place, of_own_model({"class_name": type(model).__name__}))


def of_own_model(document: dict[str, Any]) -> str:
    """Why such an object is refused, and the way that works."""
    return (
        f"{document.get('class_name')} is a Model class of your own, and only code makes one;"
        " give a function that returns it, model=ff.builder(make_model)"
    )
