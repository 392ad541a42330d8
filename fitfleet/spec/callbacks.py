"""The callbacks a job may have, in canonical form. All others take paths, URLs or code."""

from __future__ import annotations

import math
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec import catalog, left_out
from fitfleet.spec.reference import built_in, is_space, to_document

_MODES = ("auto", "min", "max")


def callbacks(value: Any) -> list[dict[str, Any]]:
    """Callbacks given as names, Keras configs, the short form or Keras objects, one or several.

    Raises SpecError for a callback that is not allowed, with the nearest names, and for an
    argument that is unknown or out of range.
    """
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        value = [value]
    return [_callback(part, f"callbacks[{i}]") for i, part in enumerate(value)]


def _callback(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, str | dict):
        value = _from_object(value, place)
    name, config = _named(value, place)
    found = catalog.class_name("callbacks", name)
    if found is None:
        raise SpecError(place, _refusal(name))
    at = f"{place}.{found}"
    canonical = built_in("callbacks", found, to_document(config, at), at)
    canonical["config"].pop("verbose", None)  # a worker prints nothing
    for argument, given in canonical["config"].items():
        if not is_space(given):
            _check(argument, given, f"{at}.{argument}")
    return canonical


def _refusal(name: str) -> str:
    why = left_out.reason("callbacks", name)
    if why is not None:
        return f"{name} is not needed or not possible here: {why}"
    known = catalog.class_names("callbacks")
    hint = catalog.nearest(name, known)
    if hint.startswith("did you mean"):
        return f"{name} is not a known callback; {hint}"
    return (
        f"callbacks must be one of {', '.join(sorted(known))}; {name} is none, and Python "
        "functions are not supported"
    )


def _named(value: Any, place: str) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return value, {}
    config: Any = None
    name = value.get("class_name")
    if name is not None:
        config = value.get("config")
    elif len(value) == 1:
        ((name, config),) = value.items()
    if isinstance(name, str) and (config is None or isinstance(config, dict)):
        return name, config or {}
    raise SpecError(
        place, f"{value!r:.60} is not a callback; give {{'Name': {{'argument': value}}}}"
    )


def _from_object(value: Any, place: str) -> dict[str, Any]:
    """A Keras callback object has no config; its arguments are attributes of the same names."""
    name = type(value).__name__
    signature = catalog.signature("callbacks", name)
    if signature is None or not type(value).__module__.startswith("keras."):
        raise SpecError(place, _refusal(name))
    config = {a: getattr(value, a) for a in signature.arguments if hasattr(value, a)}
    if name == "LearningRateScheduler" and not hasattr(config["schedule"], "get_config"):
        config["schedule"] = None
    if isinstance(config.get("min_delta"), float | int):  # after a fit it carries a sign
        config["min_delta"] = abs(config["min_delta"])
    return {"class_name": name, "config": config}


def _check(argument: str, value: Any, place: str) -> None:
    if argument in ("patience", "cooldown", "start_from_epoch"):
        if type(value) is not int or value < 0:
            raise SpecError(place, f"{value!r:.40} is not an integer of 0 or more")
    elif argument in ("min_delta", "min_lr"):
        if not _is_number(value) or value < 0:
            raise SpecError(place, f"{value!r:.40} is not a number of 0 or more")
    elif argument == "factor":
        if not _is_number(value) or not 0 < value < 1:
            raise SpecError(place, f"{value!r:.40} is not a number between 0 and 1")
    elif argument == "mode":
        if value not in _MODES:
            raise SpecError(place, f"{value!r:.40} is none of {', '.join(_MODES)}")
    elif argument == "monitor":
        if not isinstance(value, str):
            raise SpecError(place, f"{value!r:.40} is not the name of a metric")
    elif argument == "restore_best_weights":
        if not isinstance(value, bool):
            raise SpecError(place, f"{value!r:.40} is neither true nor false")
    elif argument == "baseline":
        if value is not None and not _is_number(value):
            raise SpecError(place, f"{value!r:.40} is not a number")
    elif argument == "schedule" and not _is_schedule(value):
        raise SpecError(place, "a function cannot be sent; give a learning-rate schedule of Keras")


def _is_schedule(value: Any) -> bool:
    return isinstance(value, dict) and value.get("module") == catalog.MODULES["schedules"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
