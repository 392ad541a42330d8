"""Whether labels have the shape and the values that a loss takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitfleet.data.info import ArrayInfo, DatasetInfo, flatten
from fitfleet.errors import DatasetError, SpecError
from fitfleet.spec.checks.check import ModelFacts, OutputFacts
from fitfleet.spec.job import JobSpec

Shape = tuple[int | None, ...]

_CLASS_NUMBERS = "sparsecategoricalcrossentropy"
_ONE_HOT = frozenset({"categoricalcrossentropy", "categoricalfocalcrossentropy"})
_PROBABILITIES = frozenset({"binarycrossentropy", "binaryfocalcrossentropy"}) | _ONE_HOT
# Losses that compare output and labels element by element. Of others nothing is assumed.
_ELEMENTWISE = _PROBABILITIES | frozenset(
    [
        "mse",
        "meansquarederror",
        "mae",
        "meanabsoluteerror",
        "mape",
        "meanabsolutepercentageerror",
        "msle",
        "meansquaredlogarithmicerror",
        "huber",
        "logcosh",
        "cosinesimilarity",
        "poisson",
        "kld",
        "kldivergence",
        "kullbackleiblerdivergence",
        "hinge",
        "squaredhinge",
        "categoricalhinge",
        "dice",
        "tversky",
    ]
)

_ONE_A_ROW = frozenset({"dice", "tversky"})


def check_labels(spec: JobSpec, facts: ModelFacts, info: DatasetInfo) -> list[str]:
    """Warnings about the labels. Raises DatasetError or SpecError for what cannot be trained."""
    if spec.loss is None:
        return []  # losses that the model adds may compare anything
    if info.y is None:
        if spec.model.builder is not None:
            return []  # the model of a builder may have a train_step that needs none
        raise DatasetError(
            f"{spec.dataset.path or 'dataset'}: has no labels; name them: Dataset(path, y=...)"
        )
    warnings: list[str] = []
    for role in ("y", "y_val", "y_test"):
        labels = getattr(info, role)
        for output, loss, array in pairs(spec.loss, facts, labels, f"dataset.{role}"):
            if output.shape is not None:
                warnings += _check_loss(loss, output.shape, array, f"dataset.{role}")
    return warnings


def pairs(
    loss: Any, facts: ModelFacts, labels: Any, place: str
) -> list[tuple[OutputFacts, Any, ArrayInfo]]:
    """(output, its loss, its labels) for each output, matched by name or by order."""
    arrays, outputs = flatten(labels), list(enumerate(facts.outputs))
    if not arrays or not outputs:
        return []
    if isinstance(loss, list) and len(loss) == len(outputs) != len(arrays):
        outputs = [pair for pair in outputs if loss[pair[0]] is not None]
    names = [output.name for _, output in outputs]
    if len(arrays) != len(outputs):
        all_names = ", ".join(output.name for output in facts.outputs)
        raise DatasetError(
            f"{place}: names {len(arrays)} arrays, the model has {len(facts.outputs)} outputs:"
            f" {all_names}; of one that is trained without labels the loss is None, in a list such"
            " as loss=['mse', None]"
        )
    if isinstance(labels, dict) and set(labels) == set(names):
        arrays = [labels[name] for name in names]
    elif isinstance(labels, dict):
        return []  # the names of a dict of outputs are not known without Keras
    return [
        (output, loss_of(loss, index, output.name, len(facts.outputs)), array)
        for (index, output), array in zip(outputs, arrays, strict=True)
    ]


def loss_of(loss: Any, index: int, name: str, outputs: int) -> Any:
    """The loss of an output, from one for all or one for each by name or order."""
    if isinstance(loss, list):
        return loss[index] if index < len(loss) and outputs > 1 else (loss or [None])[0]
    if isinstance(loss, dict) and "class_name" not in loss:
        return loss.get(name)
    return loss


def are_class_numbers(loss: Any) -> bool:
    """Whether a loss takes labels as the numbers of classes."""
    return _name_and_config(loss)[0].replace("_", "").lower() == _CLASS_NUMBERS


def has_value_each(loss: Any) -> bool:
    """Whether a loss is known to have a value for each row and step of an output.

    Others have one for each row (CTC, Dice); losses of the user may return any shape.
    """
    name, config = _name_and_config(loss)
    kind = name.replace("_", "").lower()
    if kind in _ONE_A_ROW or config.get("axis", -1) != -1:
        return False
    return kind == _CLASS_NUMBERS or kind in _ELEMENTWISE


def _check_loss(loss: Any, output: Shape, labels: ArrayInfo, place: str) -> list[str]:
    name, config = _name_and_config(loss)
    kind = name.replace("_", "").lower()
    if kind == _CLASS_NUMBERS:
        return _check_class_numbers(name, config, output, labels, place)
    if kind not in _ELEMENTWISE:
        return []
    shape = labels.shape[1:]
    if not matches(output, shape):
        hint = ""
        if kind in _ONE_HOT and (len(shape) < len(output) or shape[-1] == 1):
            hint = " (class numbers go with sparse_categorical_crossentropy)"
        raise SpecError(
            "loss",
            f"{name} compares outputs of shape {shown(output)} with {place} of shape"
            f" {shown(shape)}{hint}",
        )
    low, high = labels.minimum, labels.maximum
    if kind in _PROBABILITIES and low is not None and high is not None and (low < 0 or high > 1):
        raise SpecError(
            "loss", f"{name} expects labels from 0 to 1; {place} has {low:g} to {high:g}"
        )
    return []


def _check_class_numbers(
    name: str, config: dict[str, Any], output: Shape, labels: ArrayInfo, place: str
) -> list[str]:
    shape, inner, classes = labels.shape[1:], output[:-1], output[-1]
    if not matches(inner, shape):
        hint = (
            " (one-hot labels go with categorical_crossentropy)" if shape[-1:] == (classes,) else ""
        )
        each = f"for each of {shown(inner)}" if inner else "a row"
        raise SpecError(
            "loss",
            f"{name} expects one class number {each}; {place} has rows of shape"
            f" {shown(shape)}{hint}",
        )
    if labels.nan_count:
        raise DatasetError(
            f"{place}: contains {labels.nan_count:,} NaN where {name} expects class"
            f" numbers; leave out"
            " these rows, or give them a class of their own"
        )
    low, high = labels.minimum, labels.maximum
    # With ignore_class any number may stand for "no label".
    is_bounded = classes is not None and config.get("ignore_class") is None
    if is_bounded and low is not None and high is not None and (low < 0 or high >= (classes or 0)):
        raise SpecError(
            "loss",
            f"{name} with {classes} outputs expects class numbers 0 to {(classes or 0) - 1};"
            f" {place} has {low:g} to {high:g}",
        )
    if np.dtype(labels.dtype).kind == "f":
        return [
            f"{place}: contains {labels.dtype} where {name} expects integers; fractions are cut off"
        ]
    return []


def _name_and_config(loss: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(loss, dict):
        config = loss.get("config")
        if isinstance(config, str):  # a function: {"class_name": "function", "config": "mse"}
            return config, {}
        return str(loss.get("class_name", "")), config or {}
    return str(loss or ""), {}


def matches(expected: Shape, shape: tuple[int, ...]) -> bool:
    """Whether shapes agree; Keras adds or drops a last dimension of 1 by itself."""
    if len(expected) == len(shape) + 1 and expected[-1] in (1, None):
        shape = (*shape, 1)
    elif len(shape) == len(expected) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    return len(expected) == len(shape) and all(
        length is None or length == size for length, size in zip(expected, shape, strict=True)
    )


def shown(shape: Shape) -> str:
    """A shape as users write it, free dimensions as "any"."""
    inner = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
