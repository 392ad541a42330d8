"""Optimizer, losses, metrics and callbacks in canonical form, however they were given."""

from __future__ import annotations

from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec import catalog
from fitfleet.spec.reference import built_in, is_custom, is_space, reference, to_document

# Keras 3.15 forgets these when it serialises: another value than the default would be lost.
_LOSSY: dict[str, dict[str, Any]] = {
    "Huber": {"delta": 1.0},
    "CosineSimilarity": {"axis": -1},
    "SparseCategoricalCrossentropy": {"axis": -1},
}
# Keras resolves these by the shapes of model and labels, so they must stay strings.
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


def optimizer(value: Any) -> dict[str, Any]:
    """`{"module", "class_name", "config"}` of an optimizer. Raises SpecError."""
    if value is None:
        value = "rmsprop"
    found = reference("optimizers", to_document(value, "optimizer"), "optimizer")
    if not isinstance(found, dict):
        raise SpecError("optimizer", f"{found!r} is not an optimizer")
    rate = found.get("config", {}).get("learning_rate")
    if isinstance(rate, bool) or (isinstance(rate, int | float) and not rate > 0):
        raise SpecError("optimizer.learning_rate", f"{rate!r} is not a positive number")
    return found


def losses(value: Any) -> Any:
    """A loss, a list of losses, or {output name: loss}. Raises SpecError."""
    if value is None:
        raise SpecError("loss", "is missing; a fit needs one, such as 'mse'")
    return _each("losses", to_document(value, "loss"), "loss")


def metrics(value: Any, place: str = "metrics") -> Any:
    """Metrics in the structures that Keras's compile takes. Raises SpecError."""
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    return _each("metrics", to_document(value, place), place)


def _each(kind: str, value: Any, place: str) -> Any:
    if value is None or is_space(value):
        return value
    if isinstance(value, list):
        return [_each(kind, part, f"{place}[{i}]") for i, part in enumerate(value)]
    if isinstance(value, dict) and "class_name" not in value and not _is_short(kind, value):
        return {key: _each(kind, part, f"{place}.{key}") for key, part in value.items()}
    return _one(kind, value, place)


def _is_short(kind: str, value: dict[str, Any]) -> bool:
    name = next(iter(value), None)
    return len(value) == 1 and isinstance(name, str) and catalog.signature(kind, name) is not None


def _one(kind: str, value: Any, place: str) -> Any:
    if isinstance(value, dict) and value.get("class_name") == "function" and not is_custom(value):
        value = value.get("config")
    if isinstance(value, str):
        if value in _BY_SHAPE:
            return value
        function = catalog.function_name(kind, value)
        # The name a metric is given by is the name it has in the history.
        if kind == "metrics" and (function or catalog.class_name(kind, value)):
            return value
        if function is not None:
            return function
    found = reference(kind, value, place)
    if isinstance(found, dict) and not is_custom(found):
        _refuse_lossy(found, place)
    return found


def _refuse_lossy(found: dict[str, Any], place: str) -> None:
    for argument, default in _LOSSY.get(found["class_name"], {}).items():
        if found["config"].get(argument, default) != default:
            raise SpecError(
                f"{place}.{argument}",
                f"Keras does not store {argument}={found['config'][argument]!r} of"
                f" {found['class_name']}, so a worker would use {default!r}",
            )


def callbacks(value: Any) -> list[dict[str, Any]]:
    """Allowed callbacks as a list of Keras configs. Raises SpecError."""
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
        hint = catalog.nearest(name, catalog.class_names("callbacks"))
        raise SpecError(place, f"{name} is not an allowed callback; {hint}")
    config = to_document(config, place)
    patience = config.get("patience", 0)
    if isinstance(patience, bool) or not isinstance(patience, int) or patience < 0:
        raise SpecError(f"{place}.patience", f"{patience!r} is not an integer of 0 or more")
    return built_in("callbacks", found, config, place)


def _named(value: Any, place: str) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value.get("class_name"), str):
        return value["class_name"], value.get("config") or {}
    if len(value) == 1:
        ((name, config),) = value.items()
        if isinstance(name, str) and (config is None or isinstance(config, dict)):
            return name, config or {}
    raise SpecError(place, f"{value!r} is not a callback; give {{'Name': {{'argument': value}}}}")


def _from_object(value: Any, place: str) -> dict[str, Any]:
    """A Keras callback object has no config; its arguments are attributes of the same names."""
    name = type(value).__name__
    signature = catalog.signature("callbacks", name)
    if signature is None or not type(value).__module__.startswith("keras."):
        known = catalog.class_names("callbacks")
        raise SpecError(place, f"{name} is not an allowed callback; {catalog.nearest(name, known)}")
    config = {a: getattr(value, a) for a in signature.arguments if hasattr(value, a)}
    monitor = config.get("min_delta")
    if isinstance(monitor, float) and monitor < 0:  # EarlyStopping stores it with its sign
        config["min_delta"] = -monitor
    if name == "LearningRateScheduler" and not hasattr(config.get("schedule"), "get_config"):
        raise SpecError(f"{place}.schedule", "a function cannot be sent; give a schedule object")
    return {"class_name": name, "config": config}
