"""Whether sample weights have the shape that the losses of their outputs can be multiplied by."""

from __future__ import annotations

from typing import Any

from fitfleet.data.checks.label_checks import has_value_each, loss_of, shown
from fitfleet.data.info import ArrayInfo, DatasetInfo, flatten
from fitfleet.errors import DatasetError
from fitfleet.spec.checks.check import ModelFacts, OutputFacts


def check_sample_weight(loss: Any, facts: ModelFacts, info: DatasetInfo) -> None:
    """Raises DatasetError for weights that no output takes, and for negative ones.

    `loss` is that of the job: one for all outputs, or one for each.
    """
    for role in ("sample_weight", "sample_weight_val"):
        weights = getattr(info, role)
        count = len(flatten(weights))
        if count not in (0, 1, len(flatten(info.y))):
            raise DatasetError(
                f"dataset.{role}: names {count} arrays for {len(flatten(info.y))} outputs; give"
                " one, or one for each"
            )
        names = (
            list(info.y) if isinstance(info.y, dict) else [output.name for output in facts.outputs]
        )
        if isinstance(weights, dict) and len(names) > 1 and set(weights) != set(names):
            raise DatasetError(
                f"dataset.{role}: has the names {', '.join(weights)}; the model's outputs are"
                f" {', '.join(names)}"
            )
        for array, index in _weighted(weights, facts):
            output = facts.outputs[index]
            output_loss = loss_of(loss, index, output.name, len(facts.outputs))
            _check_shape(role, array, output, has_value_each(output_loss))
        for array in flatten(weights):
            if array.minimum is not None and array.minimum < 0:
                raise DatasetError(
                    f"dataset.{role}: contains the weight {array.minimum:g}; weights are 0 or more"
                )


def _weighted(weights: Any, facts: ModelFacts) -> list[tuple[ArrayInfo, int]]:
    """Each array of weights with the number of each output that it is for."""
    outputs = facts.outputs
    if isinstance(weights, dict):
        return [
            (weights[output.name], i) for i, output in enumerate(outputs) if output.name in weights
        ]
    arrays = flatten(weights)
    if len(arrays) == len(outputs):
        return [(array, index) for index, array in enumerate(arrays)]
    return [(array, index) for array in arrays for index in range(len(outputs))]


def _check_shape(role: str, array: ArrayInfo, output: OutputFacts, is_each: bool) -> None:
    """The shape is that of rows, or of the values of the loss, which lack the last dimension.

    If `is_each`, the loss has a value for each step, and Keras multiplies the two as NumPy does,
    from the last dimension on: one weight for each row then needs dimensions of 1 for the steps.
    Without them it fails, or weights steps by rows if a batch has as many rows as there are steps.
    """
    if output.shape is None:
        return
    steps, shape = output.shape[:-1], array.shape[1:]
    if shape[-1:] == (1,) and len(shape) > len(steps):
        shape = shape[:-1]
    if len(shape) == len(steps) - 1 and steps[-1] == 1:
        shape = (*shape, 1)
    is_short = len(shape) < len(steps)
    fits = len(shape) <= len(steps) and all(
        size == 1 or length in (None, size) for length, size in zip(steps, shape, strict=False)
    )
    if fits and not (is_short and is_each):
        return
    remedy = "one weight a row, ()"
    if steps:
        every = shown((1,) * len(steps))
        remedy = f"{every}, one weight for all steps of a row, or {shown(steps)}, one for each"
    raise DatasetError(
        f"dataset.{role}: has rows of shape {shown(array.shape[1:])}; the output"
        f" {output.name!r} takes {remedy}"
    )
