"""Whether a dataset fits a model and its loss; said before anything is queued."""

from __future__ import annotations

import math

from fitfleet.data.info import ArrayInfo, DatasetInfo, flatten
from fitfleet.errors import DatasetError, SpecError
from fitfleet.spec.check import ModelFacts
from fitfleet.spec.job import JobSpec

_INTEGER_LOSSES = ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
_ONE_HOT_LOSSES = ("categorical_crossentropy", "CategoricalCrossentropy")
_BINARY_LOSSES = ("binary_crossentropy", "BinaryCrossentropy")


def check_fit(spec: JobSpec, facts: ModelFacts, info: DatasetInfo) -> list[str]:
    """Warnings about the job's data. Raises DatasetError or SpecError for what cannot work."""
    _check_inputs(facts, info)
    _check_labels(spec, facts, info)
    train, val = _rows(spec, info)
    _check_batches(spec, facts, train, {"validation": val, "test": info.test_rows})
    _check_class_weight(spec, info)
    return []


def _rows(spec: JobSpec, info: DatasetInfo) -> tuple[int, int]:
    if not spec.validation_split:
        return info.rows, info.val_rows
    if info.x_val is not None:
        raise SpecError(
            "validation_split",
            f"{spec.validation_split}, but the dataset has validation arrays"
            f" ({spec.dataset.x_val!r}); give one of the two",
        )
    train = math.floor(info.rows * (1.0 - spec.validation_split))
    if train in (0, info.rows):
        raise SpecError(
            "validation_split",
            f"{spec.validation_split} of {info.rows} rows leaves {train} for training and"
            f" {info.rows - train} for validation",
        )
    return train, info.rows - train


def _check_inputs(facts: ModelFacts, info: DatasetInfo) -> None:
    if not facts.inputs:
        return
    for role in ("x", "x_val", "x_test"):
        arrays = getattr(info, role)
        if arrays is None:
            continue
        leaves = flatten(arrays)
        if len(leaves) != len(facts.inputs):
            names = ", ".join(one.name for one in facts.inputs)
            raise DatasetError(
                f"dataset.{role}: names {len(leaves)} arrays, the model has {len(facts.inputs)}"
                f" inputs: {names}"
            )
        if isinstance(arrays, dict) and set(arrays) != {one.name for one in facts.inputs}:
            names = ", ".join(one.name for one in facts.inputs)
            raise DatasetError(
                f"dataset.{role}: has the names {', '.join(arrays)}; the model's inputs are {names}"
            )
        for one in facts.inputs:
            leaf = arrays[one.name] if isinstance(arrays, dict) else leaves[facts.inputs.index(one)]
            if not _matches(one.shape, leaf.shape[1:]):
                raise DatasetError(
                    f"dataset.{role}: has rows of shape {_shown(leaf.shape[1:])}, the model's"
                    f" input {one.name!r} takes {_shown(one.shape)}"
                )


def _matches(wanted: tuple[int | None, ...], found: tuple[int, ...]) -> bool:
    if len(wanted) == len(found) + 1 and wanted[-1] in (1, None):
        found = (*found, 1)  # Keras adds the missing last dimension
    return len(wanted) == len(found) and all(
        w is None or w == f for w, f in zip(wanted, found, strict=True)
    )


def _shown(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def _check_labels(spec: JobSpec, facts: ModelFacts, info: DatasetInfo) -> None:
    if info.y is None:
        raise DatasetError(
            f"{spec.dataset.path or 'dataset'}: has no labels; name them: Dataset(path, y=...)"
        )
    if len(facts.outputs) != 1 or not isinstance(info.y, ArrayInfo):
        return
    shape = facts.outputs[0].shape
    if shape is None:
        return
    loss = spec.loss if isinstance(spec.loss, str) else (spec.loss or {}).get("class_name", "")
    for role in ("y", "y_val", "y_test"):
        labels = getattr(info, role)
        if isinstance(labels, ArrayInfo):
            _check_loss(str(loss), shape, labels, f"dataset.{role}")


def _check_loss(loss: str, output: tuple[int | None, ...], labels: ArrayInfo, place: str) -> None:
    found, units = labels.shape[1:], output[-1]
    if loss in _INTEGER_LOSSES:
        inner = output[:-1]
        if found not in (inner, (*inner, 1)) and not _matches(inner, found):
            raise SpecError(
                "loss",
                f"{loss} wants class numbers of shape {_shown(inner)}; {place} has rows of shape"
                f" {_shown(found)} (one-hot labels go with categorical_crossentropy)",
            )
        if units and labels.maximum is not None and labels.minimum is not None:
            if labels.minimum < 0 or labels.maximum >= units:
                raise SpecError(
                    "loss",
                    f"{loss} with {units} outputs wants class numbers 0 to {units - 1};"
                    f" {place} has {labels.minimum:g} to {labels.maximum:g}",
                )
        return
    if not _matches(output, found):
        hint = ""
        if loss in _ONE_HOT_LOSSES and len(found) < len(output):
            hint = " (class numbers go with sparse_categorical_crossentropy)"
        raise SpecError(
            "loss",
            f"{loss or 'the loss'} compares outputs of shape {_shown(output)} with {place} of"
            f" shape {_shown(found)}{hint}",
        )
    low, high = labels.minimum, labels.maximum
    if loss in _BINARY_LOSSES and low is not None and high is not None and (low < 0 or high > 1):
        raise SpecError("loss", f"{loss} wants labels from 0 to 1; {place} has {low:g} to {high:g}")


def _check_batches(spec: JobSpec, facts: ModelFacts, train: int, others: dict[str, int]) -> None:
    batch = spec.batch_size
    if facts.batch_size and facts.batch_size != batch:
        raise SpecError(
            "batch_size", f"{batch}, but the model's Input fixes it to {facts.batch_size}"
        )
    if facts.is_stateful:
        for name, rows in {"training": train, **others}.items():
            if rows % batch:
                raise SpecError(
                    "batch_size",
                    f"a stateful model needs whole batches: {rows} {name} rows are not a multiple"
                    f" of {batch}",
                )
        if spec.shuffle:
            raise SpecError("shuffle", "a stateful model needs shuffle=False")
    steps = -(-train // batch)
    if steps % spec.steps_per_execution:
        raise SpecError(
            "steps_per_execution",
            f"{spec.steps_per_execution} does not divide the {steps} steps of an epoch",
        )


def _check_class_weight(spec: JobSpec, info: DatasetInfo) -> None:
    for key in spec.class_weight or {}:
        if not key.isdigit():
            raise SpecError("class_weight", f"{key!r} is not a class number")
    if spec.class_weight and info.sample_weight is not None:
        raise SpecError("class_weight", "the dataset has sample weights already; give one of them")
