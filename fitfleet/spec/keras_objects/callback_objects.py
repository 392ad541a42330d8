"""A callback object as a document: its class, and the arguments of its constructor.

Callbacks have no config. Keras's keep their arguments as attributes; custom ones have to.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects import callback_file_names
from fitfleet.spec.keras_objects.custom_objects import check_reachable
from fitfleet.spec.keras_objects.object_documents import to_document

# Arguments that Keras's objects keep under another name.
_ATTRIBUTES = {
    "initial_value_threshold": "best",
    "separator": "sep",
    "profile_batch": "_start_batch",
}
_MISSING = inspect.Parameter.empty


def arguments(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """The arguments of a callback of Keras, as far as they are attributes."""
    config = {name: kept for name in names if (kept := _kept(value, name)) is not _MISSING}
    if isinstance(config.get("min_delta"), float | int):  # a fit changes it
        config["min_delta"] = abs(config["min_delta"])
    return config


def own_document(value: Any, place: str) -> dict[str, Any]:
    """The document of a custom callback. Raises SpecError for an argument that is no attribute."""
    kind = type(value)
    check_reachable(kind, place)
    parent, parameters = _parent(kind), inspect.signature(kind).parameters
    known = catalog.signature("callbacks", parent) if parent else None
    given, forgotten = {}, []
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        is_of_parent = known is not None and name in known.arguments
        kept = arguments(value, [name]).get(name, _MISSING) if is_of_parent else _own(value, name)
        if kept is not _MISSING:
            given[name] = kept
        elif parameter.default is _MISSING:
            raise SpecError(f"{place}.{name}", _forgets(kind, name))
        else:
            forgotten.append(name)
    if known is not None and any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        inherited = arguments(value, [name for name in known.arguments if name not in given])
        given |= _set_by_user(kind, given, inherited, known.required)
    if forgotten and not _is_made_by(value, given):
        raise SpecError(f"{place}.{forgotten[0]}", _forgets(kind, forgotten[0]))
    _check_name(value, parent, place)
    config = {name: to_document(_arrays(kept), f"{place}.{name}") for name, kept in given.items()}
    return {"module": kind.__module__, "class_name": kind.__name__, "config": config}


def _arrays(value: Any) -> Any:
    """Arrays and tensors with their dtypes, in Keras's form for arguments of a call."""
    if isinstance(value, dict):
        return {key: _arrays(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_arrays(part) for part in value]
    if not hasattr(value, "__array__") or not getattr(value, "ndim", None):
        return value
    array = value.numpy() if hasattr(value, "numpy") else value
    config = {"value": array.tolist(), "dtype": str(array.dtype)}
    return {"class_name": "__numpy__", "config": config}


def _kept(value: Any, name: str) -> Any:
    return getattr(value, _ATTRIBUTES.get(name, name), _MISSING)


def _own(value: Any, name: str) -> Any:
    return getattr(value, name, getattr(value, f"_{name}", _MISSING))


def _forgets(kind: type, name: str) -> str:
    return f"{kind.__name__} keeps its argument under another name; keep it as self.{name}"


def _parent(kind: type) -> str | None:
    """The base class of Keras, if it has arguments."""
    known = catalog.class_names("callbacks")
    names = (c.__name__ for c in kind.__mro__ if c.__module__.startswith("keras."))
    return next((name for name in names if name in known), None)


def _set_by_user(
    kind: type, given: Mapping[str, Any], inherited: dict[str, Any], required: Iterable[str]
) -> dict[str, Any]:
    """Arguments that were passed through `**kwargs`, without those that the class sets itself."""
    needed = {name: inherited[name] for name in required if name in inherited}
    for more in ({}, needed):
        constructed = _made(kind, {**given, **more})
        if constructed is not None:
            return more | {
                name: kept
                for name, kept in inherited.items()
                if name not in more and not _is_same(kept, _kept(constructed, name))
            }
    return inherited


def _is_made_by(value: Any, given: Mapping[str, Any]) -> bool:
    """Whether an object with only these arguments has equal attributes, as far as comparable."""
    constructed = _made(type(value), given)
    plain = (bool, int, float, str)
    return constructed is not None and all(
        _is_same(part, vars(value).get(name, part))
        for name, part in vars(constructed).items()
        if isinstance(part, plain)
    )


def _made(kind: type, given: Mapping[str, Any]) -> Any:
    """Another object of the class, or None if it does not take these arguments."""
    try:
        return kind(**given)
    except Exception:  # the constructor is custom code
        return None


def _is_same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def _check_name(value: Any, parent: str | None, place: str) -> None:
    """Check the file name of a class that is derived from one of Keras that writes files."""
    argument = callback_file_names.ARGUMENTS.get(parent or "")
    if parent is not None and argument is not None:
        config = arguments(value, [argument, "save_weights_only"])
        callback_file_names.check(parent, config, place)
