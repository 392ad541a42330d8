"""What the config of a loss, metric or optimizer leaves out: taken from the object, or refused."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.keras_objects.custom_objects import is_of_keras
from fitfleet.spec.keras_objects.user_code import OF_KERAS, not_taken

# The dtype of a loss or metric that stays float32 in a job of another floatx. By its name alone
# float32 says nothing there: Keras writes its floatx into the config of every metric.
TOLD_FLOAT32 = {"class_name": "DTypePolicy", "config": {"name": "float32"}}
# Of Keras's own losses.
_LOST_BY_KERAS = ("delta", "axis")
_COMPUTING = {"keras.src.losses.loss.Loss", "keras.src.metrics.metric.Metric"}
_NOWHERE = inspect.Parameter.empty


def complete(value: Any, document: Any, place: str) -> None:
    """Writes them into the document of a serialised object, in place.

    SpecError for an argument that a class of the user's without a get_config keeps elsewhere than
    in an attribute of its name: the worker's object would have the default, and nobody a hint.
    So it is raised for an optimizer that was told which variables not to decay.
    """
    if not isinstance(document, dict):
        return
    _refuse_exclusions(value, place)
    _write_dtype(value, document)
    lost = getattr(value, "_fn_kwargs", None)
    if isinstance(lost, dict):
        for name in _LOST_BY_KERAS:
            if name in lost:
                document["config"].setdefault(name, lost[name])
    if _keeps_its_arguments(value):
        for name, argument in _left_out(value, document["config"], place).items():
            document["config"][name] = argument


def is_told_float32(dtype: Any) -> bool:
    """Whether it is TOLD_FLOAT32, also as Keras itself writes a policy."""
    policy = {**dtype} if isinstance(dtype, dict) else {}
    return {key: policy.get(key) for key in TOLD_FLOAT32} == TOLD_FLOAT32


def _write_dtype(value: Any, document: dict[str, Any]) -> None:
    """The dtype of a loss or metric that has another than Keras's floatx, which it would follow."""
    if not _parents(type(value)) & _COMPUTING:
        return
    is_taken = is_of_keras(type(value).__module__) or "dtype" not in not_taken(type(value))
    if is_taken and value.dtype != sys.modules["keras"].config.floatx():
        is_told = value.dtype == "float32"
        document["config"]["dtype"] = dict(TOLD_FLOAT32) if is_told else value.dtype


def _refuse_exclusions(value: Any, place: str) -> None:
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
    optimizer = getattr(value, "inner_optimizer", value)
    if any(getattr(optimizer, name, None) for name in names):
        raise SpecError(
            place,
            "exclude_from_weight_decay() is no part of an optimizer's config, so a worker's would"
            " decay all variables; compile the model in a function, give that as"
            " model=ff.builder(make_model), and leave optimizer and loss of the job out",
        )


def _keeps_its_arguments(value: Any) -> bool:
    """A loss or metric of the user's; Keras itself keeps those of a layer."""
    kind = type(value)
    if is_of_keras(kind.__module__) or isinstance(value, type):
        return False
    if not _parents(kind) & _COMPUTING:
        return False
    return str(kind.get_config.__module__).startswith("keras.")


def _parents(kind: type) -> set[str]:
    return {f"{parent.__module__}.{parent.__name__}" for parent in kind.__mro__}


def _left_out(value: Any, config: dict[str, Any], place: str) -> dict[str, Any]:
    omitted = {}
    for name, parameter in inspect.signature(type(value)).parameters.items():
        is_rest = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if is_rest or name in config or name in OF_KERAS:
            continue
        omitted[name] = getattr(value, name, getattr(value, f"_{name}", _NOWHERE))
        if omitted[name] is _NOWHERE:
            raise SpecError(
                place,
                f"{type(value).__name__} keeps its argument {name} under another name, and has no"
                f" get_config; keep it as self.{name}, or give a get_config",
            )
    return omitted
