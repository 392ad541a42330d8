"""Optimizer, losses and metrics in canonical form, however they were given."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.job import Floatx
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.counted_names import recount
from fitfleet.spec.keras_objects.object_documents import (
    is_custom,
    is_space,
    reference,
    snake_case,
    to_document,
)
from fitfleet.spec.keras_objects.omitted_arguments import TOLD_FLOAT32, is_told_float32

# Keras resolves these by the shapes of model and labels, so they must stay strings.
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")

# Arguments of optimizers, the least value of a count beside it. All others are numbers.
_TEXTS = ("name", "exclude_layers")
_COUNTS = {
    "gradient_accumulation_steps": 2,
    "ema_overwrite_frequency": 1,
    "ns_steps": 1,
    "warmup_steps": 0,
}
_FRACTIONS = ("beta_1", "beta_2", "adam_beta_1", "adam_beta_2", "momentum", "ema_momentum", "rho")
_POSITIVE = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "clip_threshold",
    "loss_scale_factor",
)


def optimizer(value: Any) -> dict[str, Any]:
    """`{"module", "class_name", "config"}`; the learning rate is always there. Raises SpecError.

    None is Keras's own default, RMSprop.
    """
    document = to_document("rmsprop" if value is None else value, "optimizer")
    serialized = reference("optimizers", document, "optimizer")
    if (
        isinstance(serialized, dict)
        and is_custom(serialized)
        and isinstance(serialized.get("config"), dict)
    ):
        recount(serialized, Counter())
        return serialized
    if not isinstance(serialized, dict) or is_custom(serialized) or is_space(serialized):
        raise SpecError("optimizer", f"{document!r:.60} is not an optimizer of Keras")
    config = serialized["config"]
    signature = catalog.signature("optimizers", serialized["class_name"])
    if signature is not None and "learning_rate" in signature.defaults:
        config.setdefault("learning_rate", signature.defaults["learning_rate"])
    for argument, given in config.items():
        is_schedule = argument == "learning_rate" and isinstance(given, dict)
        if not is_schedule and not is_space(given) and signature is not None:
            _check_argument(argument, given, signature.defaults.get(argument))
    return serialized


def _check_argument(argument: str, value: Any, default: Any) -> None:
    """Raises SpecError for a value that Keras would take and fail of in the middle of a fit."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_count = type(value) is int and 0 <= value < 2**31
    if argument in _TEXTS or (value is None and default is None):
        return
    if isinstance(default, bool):
        fits, words = isinstance(value, bool), "neither true nor false"
    elif argument in _COUNTS:
        fits, words = is_count and value >= _COUNTS[argument], _count_words(_COUNTS[argument])
    elif argument in _FRACTIONS:
        fits, words = is_number and 0 <= value <= 1, "not a number from 0 to 1"
    elif argument == "learning_rate":
        fits, words = is_number and value >= 0, "not a number of 0 or more"
    elif argument in _POSITIVE:
        fits, words = is_number and value > 0, "not a positive number"
    else:
        fits, words = is_number, "not a number"
    if not fits:
        raise SpecError(f"optimizer.{argument}", f"{value!r:.40} is {words}")


def _count_words(least: int) -> str:
    return "not a positive integer" if least < 2 else f"not an integer of {least} or more"


def losses(value: Any, floatx: Floatx = "float32") -> Any:
    """A loss, a list of losses, or {output name: loss}; None stays. Raises SpecError.

    `floatx` is the dtype that those of the job have which were told none.
    """
    canonical = _each("losses", to_document(value, "loss"), "loss", floatx)
    _count_losses(canonical, Counter())
    return canonical


def _count_losses(losses: Any, counts: Counter[str]) -> None:
    """Names of the user's own, in place, as a fresh process gives them."""
    if isinstance(losses, list):
        for part in losses:
            _count_losses(part, counts)
    elif isinstance(losses, dict) and "class_name" in losses:
        recount(losses, counts)
    elif isinstance(losses, dict):
        for part in losses.values():
            _count_losses(part, counts)


def metrics(value: Any, place: str = "metrics", floatx: Floatx = "float32") -> Any:
    """Metrics in the structures that Keras's compile takes; `floatx` as of `losses`. SpecError."""
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    canonical = _each("metrics", to_document(value, place), place, floatx)
    _name_metrics(canonical, Counter())
    return canonical


def _name_metrics(metrics: Any, counts: Counter[str]) -> None:
    """Names, in place, where Keras would count up in a worker that has run other jobs."""
    if isinstance(metrics, list):
        for part in metrics:
            _name_metrics(part, counts)
    elif isinstance(metrics, dict) and "class_name" not in metrics:
        for part in metrics.values():
            _name_metrics(part, counts)
    elif isinstance(metrics, dict) and is_custom(metrics):
        recount(metrics, counts)
    elif isinstance(metrics, dict):
        signature = catalog.signature("metrics", metrics["class_name"])
        if signature is None or signature.defaults.get("name") is not None:
            return
        prefix = snake_case(metrics["class_name"])
        name = metrics["config"].get("name") or prefix
        if not isinstance(name, str):
            raise SpecError("metrics", f"{repr(name)[:40]} is not the name of a metric")
        if re.fullmatch(rf"{prefix}(_\d+)?", name):
            metrics["config"]["name"] = f"{prefix}_{counts[prefix]}" if counts[prefix] else prefix
            counts[prefix] += 1


def _each(kind: str, value: Any, place: str, floatx: Floatx) -> Any:
    if value is None or is_space(value):
        return value
    if isinstance(value, list):
        return [_each(kind, part, f"{place}[{i}]", floatx) for i, part in enumerate(value)]
    if isinstance(value, dict) and "class_name" not in value and not _is_short(kind, value):
        return {key: _each(kind, part, f"{place}.{key}", floatx) for key, part in value.items()}
    return _canonical(kind, value, place, floatx)


def _is_short(kind: str, value: dict[str, Any]) -> bool:
    name = next(iter(value), None)
    return len(value) == 1 and isinstance(name, str) and catalog.signature(kind, name) is not None


def _canonical(kind: str, value: Any, place: str, floatx: Floatx) -> Any:
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
    canonical = reference(kind, _with_dtype(value, floatx), place)
    if kind == "losses" and isinstance(canonical, dict) and not is_custom(canonical):
        return _plain_loss(canonical)
    return canonical


def _with_dtype(value: Any, floatx: Floatx) -> Any:
    """A loss or metric as it is given, float32 told where it is its own in a job of float64.

    So it is where Keras told a script's object it (TOLD_FLOAT32), or where the short form spells
    it out; of Keras's config of a follower it says nothing.
    """
    is_short = isinstance(value, dict) and len(value) == 1 and "class_name" not in value
    key = next(iter(value)) if is_short else "config"
    config = value.get(key) if isinstance(value, dict) else None
    if not isinstance(config, dict):
        return value
    dtype = config.get("dtype")
    if floatx == "float32":
        told = "float32" if is_told_float32(dtype) else dtype
    elif dtype == "float32" and is_short:
        told = dict(TOLD_FLOAT32)
    else:
        told = floatx if dtype == "float32" and is_custom(value) else dtype
    return value if told is dtype else {**value, key: {**config, "dtype": told}}


def _plain_loss(loss: dict[str, Any]) -> Any:
    """A loss class with its default arguments is the function of the same name."""
    function = catalog.function_name("losses", snake_case(str(loss.get("class_name"))))
    return loss if loss.get("config") or function is None else function
