"""Whether a dataset fits the model and the options of a fit, checked before the job is queued."""

from __future__ import annotations

from math import prod

import numpy as np

from fitfleet.data.checks.class_weights import check_class_weight
from fitfleet.data.checks.label_checks import are_class_numbers, check_labels, matches, pairs, shown
from fitfleet.data.checks.metric_labels import check_metrics, metrics_of
from fitfleet.data.checks.sample_weights import check_sample_weight
from fitfleet.data.info import ArrayInfo, DatasetInfo, flatten, is_text
from fitfleet.data.rows.folds import fold_rows
from fitfleet.data.rows.rows import validation_start
from fitfleet.errors import DatasetError, SpecError
from fitfleet.spec.checks.check import InputFacts, ModelFacts
from fitfleet.spec.job import Floatx, JobSpec


def check_fit(
    spec: JobSpec, facts: ModelFacts, info: DatasetInfo, memory_bytes: int | None = None
) -> list[str]:
    """Warnings about the job's data. Raises DatasetError or SpecError for what cannot be trained.

    A batch may have at most `memory_bytes`, the setting. What only Keras can tell of the model (one
    of a builder that a worker calls, some shapes of outputs) is not checked.
    """
    _check_inputs(facts, info)
    if spec.task is not None and spec.task.kind == "predict":
        return []  # it uses no labels
    warnings = [*_infinite(spec, info), *check_labels(spec, facts, info)]
    _check_metrics(spec, facts, info)
    counts = _rows(spec, info)
    if counts is not None:
        _check_batches(spec, facts, counts)
    if memory_bytes is not None:
        _check_batch_bytes(spec, info, memory_bytes)
    _check_weights(spec, facts, info)
    _check_monitors(spec, info)
    warnings += _unvalidated(spec, info)
    if spec.validation_split and (info.x_val is not None or info.dataset.fold):
        why = "a fold" if info.dataset.fold else "validation arrays"
        warnings.append(
            f"validation_split: {spec.validation_split} is ignored, because the dataset has {why}"
        )
    return warnings


def _infinite(spec: JobSpec, info: DatasetInfo) -> list[str]:
    """A line for each array with numbers that are infinite as Keras's floatx."""
    largest = float(np.finfo(spec.floatx).max)
    return [
        f"dataset: array {name!r} contains values from {array.minimum:g} to {array.maximum:g},"
        f" which are infinite as {spec.floatx}"
        for name, array in info.arrays.items()
        if array.minimum is not None
        and array.maximum is not None
        and max(abs(array.minimum), abs(array.maximum)) > largest
    ]


def _rows(spec: JobSpec, info: DatasetInfo) -> dict[str, int] | None:
    """Training, validation and test rows of the fit; None when only the labels tell."""
    counts = {"training": info.rows, "validation": info.val_rows, "test": info.test_rows}
    if info.dataset.fold:
        parts = fold_rows(info)
        if parts is None:
            return None
        return {**counts, "training": parts[0], "validation": parts[1]}
    if not spec.validation_split or info.x_val is not None:
        return counts
    train = validation_start(info.rows, spec.validation_split)
    if train in (0, info.rows):
        raise SpecError(
            "validation_split",
            f"{spec.validation_split} of {info.rows} rows leaves {train} for training and"
            f" {info.rows - train} for validation; choose another fraction",
        )
    return {**counts, "training": train, "validation": info.rows - train}


def _check_inputs(facts: ModelFacts, info: DatasetInfo) -> None:
    if not facts.inputs:
        return
    names = ", ".join(layer.name for layer in facts.inputs)
    for role in ("x", "x_val", "x_test"):
        arrays = getattr(info, role)
        if arrays is None:
            continue
        leaves = flatten(arrays)
        if len(leaves) != len(facts.inputs):
            raise DatasetError(
                f"dataset.{role}: names {len(leaves)} arrays, the model has {len(facts.inputs)}"
                f" inputs: {names}; give one of each, as a list or by name, ([...], y), without"
                " labels ([...], None)"
            )
        if isinstance(arrays, dict) and set(arrays) != {layer.name for layer in facts.inputs}:
            raise DatasetError(
                f"dataset.{role}: has the names {', '.join(arrays)}; the model's inputs are {names}"
            )
        for index, layer in enumerate(facts.inputs):
            array = arrays[layer.name] if isinstance(arrays, dict) else leaves[index]
            _check_input(role, layer, array)


def _check_metrics(spec: JobSpec, facts: ModelFacts, info: DatasetInfo) -> None:
    if spec.metrics is None and spec.weighted_metrics is None:
        return
    count = len(facts.outputs)
    for role in ("y", "y_val", "y_test"):
        place = f"dataset.{role}"
        for output, loss, array in pairs(spec.loss, facts, getattr(info, role), place):
            index = facts.outputs.index(output)
            for part in (spec.metrics, spec.weighted_metrics):
                metrics = metrics_of(part, index, output.name, count)
                if output.shape is not None:
                    check_metrics(metrics, output.shape, array, place, are_class_numbers(loss))


def _check_input(role: str, layer: InputFacts, array: ArrayInfo) -> None:
    if not matches(layer.shape, array.shape[1:]):
        raise DatasetError(
            f"dataset.{role}: has rows of shape {shown(array.shape[1:])}, the model's input"
            f" {layer.name!r} takes {shown(layer.shape)}; change the Input or the array"
        )
    if is_text(array) != (layer.dtype == "string"):
        holds = "contains texts" if is_text(array) else f"contains {array.dtype}"
        raise DatasetError(
            f"dataset.{role}: {holds}, the model's input {layer.name!r} takes {layer.dtype}; texts"
            ' go into Input(..., dtype="string") and then TextVectorization or StringLookup'
        )
    if layer.codes is None:
        return
    for code in (array.minimum, array.maximum):
        # On a GPU Keras would read zeros for it silently.
        if code is not None and not 0 <= code < layer.codes:
            raise DatasetError(
                f"dataset.{role}: contains the code {code:g}, the Embedding knows 0 to"
                f" {layer.codes - 1}; raise its input_dim or correct the data"
            )


def _check_batches(spec: JobSpec, facts: ModelFacts, counts: dict[str, int]) -> None:
    batch = spec.batch_size
    if facts.batch_size and facts.batch_size != batch:
        raise SpecError(
            "batch_size", f"{batch}, but the model's Input fixes it to {facts.batch_size}"
        )
    if facts.is_stateful:
        for name, rows in counts.items():
            if rows % batch:
                raise SpecError(
                    "batch_size",
                    f"a stateful model needs whole batches: {rows} {name} rows are not a multiple"
                    f" of {batch}; leave out {rows % batch} rows or change batch_size",
                )
        if spec.shuffle:
            raise SpecError("shuffle", "a stateful model needs shuffle=False")


def _check_batch_bytes(spec: JobSpec, info: DatasetInfo, memory_bytes: int) -> None:
    """Windows of a small file, or large images, can make one batch larger than the memory."""
    held_out = "validation_batch_size" if spec.validation_batch_size else "batch_size"
    for role, rows, argument in (
        ("x", info.rows, "batch_size"),
        ("x_val", info.val_rows, held_out),
        ("x_test", info.test_rows, held_out),
    ):
        arrays = flatten(getattr(info, role))
        row_bytes = sum(prod(a.shape[1:]) * _itemsize(a, spec.floatx) for a in arrays)
        size = min(rows, getattr(spec, argument))
        if size * row_bytes > memory_bytes:
            raise SpecError(
                argument,
                f"a batch of {size:,} rows of dataset.{role} is {size * row_bytes:,}"
                f" bytes, above the setting memory_bytes={memory_bytes:,}; take a smaller one",
            )


def _itemsize(array: ArrayInfo, floatx: Floatx) -> int:
    """Bytes of a number in a batch, where Keras casts floats to its floatx."""
    dtype = np.dtype(array.dtype)
    return np.dtype(floatx).itemsize if dtype.kind == "f" else dtype.itemsize


def _check_weights(spec: JobSpec, facts: ModelFacts, info: DatasetInfo) -> None:
    if info.y is None:
        _check_without_labels(spec, info)
    check_sample_weight(spec.loss, facts, info)
    if spec.class_weight:
        check_class_weight(spec, facts, info)


def _check_without_labels(spec: JobSpec, info: DatasetInfo) -> None:
    """Without labels Keras drops weights silently, and has nothing to compare.

    Metrics of a builder's model may get their values in its own train_step.
    """
    for place, value in (
        ("sample_weight", info.sample_weight),
        ("class_weight", spec.class_weight),
        ("metrics", spec.metrics),
        ("weighted_metrics", spec.weighted_metrics),
    ):
        is_metric = place in ("metrics", "weighted_metrics")
        if value and not (is_metric and spec.model.builder is not None):
            raise SpecError(place, "goes with labels, and the dataset has none; give it y")


def _unvalidated(spec: JobSpec, info: DatasetInfo) -> list[str]:
    """Warnings about `validation_freq` and `validation_steps`: unused, or not in the last epoch."""
    given = [name for name in ("validation_freq", "validation_steps") if _is_set(spec, name)]
    if not given:
        return []
    if not _has_validation(spec, info):
        return [f"{given[0]}: is ignored, because there are no validation rows"]
    if not spec.validates(spec.epochs):
        return [
            f"validation_freq: {spec.validation_freq} leaves epoch {spec.epochs}, the last, without"
            " a validation; a job that keeps the weights of that epoch is compared and ranked by"
            " no val_ metric"
        ]
    return []


def _has_validation(spec: JobSpec, info: DatasetInfo) -> bool:
    return bool(spec.validation_split or info.x_val is not None or info.dataset.fold)


def _is_set(spec: JobSpec, name: str) -> bool:
    return bool(getattr(spec, name) != JobSpec.model_fields[name].default)


def _check_monitors(spec: JobSpec, info: DatasetInfo) -> None:
    """Refuse a callback that monitors a validation metric in a fit without validation."""
    if _has_validation(spec, info):
        return
    for index, callback in enumerate(spec.callbacks):
        name = callback["class_name"]
        monitor = str((callback.get("config") or {}).get("monitor", "val_loss"))
        if name in ("EarlyStopping", "ReduceLROnPlateau") and monitor.startswith("val_"):
            raise SpecError(
                f"callbacks[{index}].{name}.monitor",
                f"{monitor!r} needs validation rows, and there are none; give the dataset x_val"
                f" and y_val, or validation_split, or watch {monitor.removeprefix('val_')!r}",
            )
