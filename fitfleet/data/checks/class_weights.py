"""Whether class weights fit the labels: Keras looks up the weight of each row by its class."""

from __future__ import annotations

from math import isfinite
from typing import Any

from fitfleet.data.checks.label_checks import are_class_numbers
from fitfleet.data.info import DatasetInfo, flatten
from fitfleet.errors import SpecError
from fitfleet.spec.checks.check import ModelFacts
from fitfleet.spec.job import JobSpec


def check_class_weight(spec: JobSpec, facts: ModelFacts, info: DatasetInfo) -> None:
    """Raises SpecError if the class weights of a job do not fit its labels; it has both."""
    if info.sample_weight is not None:
        raise SpecError("class_weight", "the dataset has sample weights already; give one of them")
    _check_one_class_a_row(spec, info)
    classes = _classes(facts, info)
    for key in spec.class_weight or {}:
        if not key.isdigit():
            raise SpecError("class_weight", f"{key!r} is not a class number such as 0")
        if classes is not None and int(key) >= classes:
            raise SpecError(
                "class_weight", f"class {key} is not among the classes 0 to {classes - 1}"
            )


def _check_one_class_a_row(spec: JobSpec, info: DatasetInfo) -> None:
    """Keras refuses other labels given as arrays, but would accept them in batches."""
    leaves = flatten(info.y)
    if isinstance(info.y, list | dict):
        raise SpecError("class_weight", "goes with one array of labels; use sample weights instead")
    shape = _shape_without_last_1(leaves[0].shape[1:]) if leaves else ()
    if len(shape) > 1 or (shape and are_class_numbers(spec.loss)):
        raise SpecError(
            "class_weight",
            "goes with one class a row; for labels of several steps give sample weights, one for"
            " each step",
        )


def _shape_without_last_1(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:-1] if shape[-1:] == (1,) else shape


def _classes(facts: ModelFacts, info: DatasetInfo) -> int | None:
    """The number of classes; None when neither the output nor the labels tell it."""
    shape: Any = facts.outputs[0].shape if len(facts.outputs) == 1 else None
    if shape and shape[-1] not in (None, 1):
        return int(shape[-1])
    labels = flatten(info.y)
    if not labels or labels[0].maximum is None or not isfinite(labels[0].maximum):
        return None
    return max(int(labels[0].maximum) + 1, 2)
