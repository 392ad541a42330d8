"""The callbacks that a job may have, in canonical form."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.keras_names import catalog, disallowed_names
from fitfleet.spec.keras_objects import callback_file_names
from fitfleet.spec.keras_objects.callback_objects import arguments, own_document
from fitfleet.spec.keras_objects.custom_objects import refuse_class
from fitfleet.spec.keras_objects.object_documents import built_in, is_custom, is_space, to_document
from fitfleet.spec.keywords import is_number

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
    if isinstance(value, dict) and is_custom(value):
        return _custom(value, place)
    name, config = _named(value, place)
    class_name = catalog.class_name("callbacks", name)
    if class_name is None:
        raise SpecError(place, _refusal(name))
    at = f"{place}.{class_name}"
    canonical = built_in("callbacks", class_name, to_document(_with_text(config), at), at)
    canonical["config"].pop("verbose", None)  # a worker prints nothing
    for argument, given in canonical["config"].items():
        if not is_space(given):
            _check(argument, given, f"{at}.{argument}")
    callback_file_names.check(class_name, canonical["config"], at)
    return canonical


def _with_text(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments with paths as text, as Keras takes them."""
    return {
        argument: os.fspath(value) if isinstance(value, os.PathLike) else value
        for argument, value in config.items()
    }


def _custom(value: dict[str, Any], place: str) -> dict[str, Any]:
    """A custom callback, by its class and the arguments of its constructor."""
    module, name = value.get("module"), value.get("class_name")
    config = to_document(value.get("config") or {}, f"{place}.config")
    is_named = isinstance(module, str) and isinstance(name, str) and name.isidentifier()
    if not is_named or not isinstance(config, dict):
        raise SpecError(place, "a custom callback has module, class_name and config")
    return {
        "module": module,
        "class_name": name,
        "config": config,
        "registered_name": f"{module}>{name}",
    }


def _refusal(name: str) -> str:
    why = disallowed_names.reason("callbacks", name)
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
    refuse_class(value, place)
    name = type(value).__name__
    signature = catalog.signature("callbacks", name)
    if not type(value).__module__.startswith("keras.") and hasattr(value, "on_epoch_end"):
        return own_document(value, place)
    if signature is None or not type(value).__module__.startswith("keras."):
        raise SpecError(place, _refusal(name))
    return {"class_name": name, "config": arguments(value, signature.arguments)}


def _check(argument: str, value: Any, place: str) -> None:
    rule = _RULES.get(argument)
    if rule is not None and not rule[0](value):
        raise SpecError(place, f"{value!r:.40} is {rule[1]}")


def _is_schedule(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("module") == catalog.MODULES["schedules"] or is_custom(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_amount(value: Any) -> bool:
    return is_number(value) and value >= 0


_COUNT = (_is_count, "not an integer of 0 or more")
_AMOUNT = (_is_amount, "not a number of 0 or more")
_FLAG = (lambda v: isinstance(v, bool), "neither true nor false")
# Argument -> (check, description of valid values).
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "patience": _COUNT,
    "cooldown": _COUNT,
    "start_from_epoch": _COUNT,
    "min_delta": _AMOUNT,
    "min_lr": _AMOUNT,
    "factor": (lambda v: is_number(v) and 0 < v < 1, "not a number between 0 and 1"),
    "mode": (lambda v: isinstance(v, str) and v in _MODES, f"not one of {', '.join(_MODES)}"),
    "monitor": (lambda v: isinstance(v, str), "not the name of a metric"),
    "restore_best_weights": _FLAG,
    "baseline": (lambda v: v is None or is_number(v), "not a number"),
    "initial_value_threshold": (lambda v: v is None or is_number(v), "not a number"),
    "save_best_only": _FLAG,
    "save_weights_only": _FLAG,
    "histogram_freq": _COUNT,
    "write_graph": _FLAG,
    "write_images": _FLAG,
    "write_steps_per_second": _FLAG,
    "update_freq": (
        lambda v: v in ("epoch", "batch") or (type(v) is int and v > 0),
        "neither 'epoch' nor 'batch' nor a number of batches",
    ),
    "profile_batch": (
        lambda v: v in (0, None),
        "a batch to profile, which workers do not do, since a device is shared by jobs; leave it"
        " out, and profile one fit of plain Keras",
    ),
    "embeddings_freq": (
        lambda v: v in (0, None),
        "not 0: TensorBoard's projector does not read the weights that Keras 3 writes; leave it"
        " out, and read them with job.weights()",
    ),
    "embeddings_metadata": (lambda v: v is None, "of no use without embeddings_freq; leave it out"),
    "append": _FLAG,
    "save_freq": (
        lambda v: v == "epoch",
        "not 'epoch': a job resumes at the end of an epoch, and its files are those of then",
    ),
    "separator": (lambda v: isinstance(v, str) and len(v) == 1, "not one character"),
    "schedule": (
        _is_schedule,
        "neither a function (epoch, rate) -> rate nor a learning-rate schedule of Keras",
    ),
}
