"""Several fitted models as one: their mean prediction, chosen on validation rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from fitfleet.errors import FitfleetError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker.models.build import precision
from fitfleet.worker.models.predict import measured, predictions
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.state.build_variables import ends

_BATCH = 256


class Scorer:
    """Keras's own metrics of the mean of predictions, by a model that returns its input."""

    def __init__(
        self, model: Any, labelled: tuple[Any, Any], metric: str, settings: Settings
    ) -> None:
        """`labelled` is (y, sample_weight) of the validation rows; `metric` a name without val_."""
        self._labelled, self._metric, self._settings = labelled, metric, settings
        outputs = _ends(model)[1]
        inputs = [keras.Input(t.shape[1:], dtype=t.dtype) for t in keras.tree.flatten(outputs)]
        in_form = keras.tree.pack_sequence_as(outputs, inputs)
        self._model = keras.Model(inputs, _each(_names(model), keras.layers.Identity, in_form))
        _compile_as(self._model, model)

    def __call__(self, predicted: Sequence[tuple[Any, int]]) -> float:
        """The metric of the mean, each prediction weighted by its count."""
        total = sum(count for _, count in predicted)
        mean = keras.tree.map_structure(
            lambda *leaves: sum(
                leaf.astype("float64") * (count / total)
                for leaf, (_, count) in zip(leaves, predicted, strict=True)
            ).astype(leaves[0].dtype),
            *[outputs for outputs, _ in predicted],
        )
        parts = (keras.tree.flatten(mean), *self._labelled)
        logs = measured(self._model, parts, _BATCH, self._settings)
        if self._metric not in logs:
            raise FitfleetError(
                f"metric: val_{self._metric!s:.60} is not one of"
                f" {', '.join(f'val_{name}' for name in sorted(logs))}"
            )
        return logs[self._metric]


def predicted(model: Any, x: Any, spec: JobSpec) -> Any:
    """What the model predicts for all rows, in the structure of its outputs."""
    with precision(spec.dtype_policy):
        parts = list(predictions(model, x, spec.batch_size))
    return keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *parts)


def combined(models: Mapping[int, Any], shares: Mapping[int, float]) -> Any:
    """One Keras model of built-in layers around the others: the weighted mean of their outputs.

    It is compiled as the first one was, so that `evaluate` works; its members are called `job_1`,
    ... after the numbers given. SpecError for models that take different inputs.
    """
    first = next(iter(models.values()))
    inputs = keras.tree.map_structure(
        lambda t: keras.Input(t.shape[1:], dtype=t.dtype, name=t.name), _ends(first)[0]
    )
    outputs = []
    for number, model in models.items():
        _check_alike(number, model, next(iter(models)), first)
        model.name = f"job_{number}"  # in one model names differ
        try:
            outputs.append(model(inputs))
        except (ValueError, TypeError) as error:
            raise SpecError("ensemble", f"job {number}: {explanation(error)}") from error
    if len(outputs) == 1:
        mean = _each(_names(first), keras.layers.Identity, outputs[0])
    else:
        each = zip(outputs, models, strict=True)
        scaled = [_scaled(output, shares[number]) for output, number in each]
        mean = _each(_names(first), keras.layers.Add, *scaled)
    model = keras.Model(inputs, mean, name="ensemble")
    _compile_as(model, first)
    return model


def _compile_as(model: Any, other: Any) -> None:
    """With the losses and metrics of a compiled model; its own objects, as it is used no more."""
    given = other._compile_config.config
    names = ("loss", "loss_weights", "metrics", "weighted_metrics")
    model.compile(optimizer=keras.optimizers.SGD(), **{name: given[name] for name in names})
    model.optimizer.build(model.trainable_variables)


def _scaled(output: Any, share: float) -> Any:
    return keras.tree.map_structure(lambda t: keras.layers.Rescaling(share)(t), output)


def _each(names: Sequence[str], layer: Callable[..., Any], *structures: Any) -> Any:
    """A layer of this kind for each leaf, named as the output is; a list of leaves if several."""
    flat = [keras.tree.flatten(structure) for structure in structures]
    merged = []
    for name, leaves in zip(names, zip(*flat, strict=True), strict=True):
        merged.append(layer(name=name)(list(leaves) if len(leaves) > 1 else leaves[0]))
    return keras.tree.pack_sequence_as(structures[0], merged)


def _names(model: Any) -> list[str]:
    """Of its outputs, which losses and metrics may go by."""
    if isinstance(model, keras.Sequential):
        return [model.layers[-1].name]
    return list(model.output_names)


def _check_alike(number: int, model: Any, first_number: int, first: Any) -> None:
    here, there = _signature(model), _signature(first)
    if here != there:
        raise SpecError(
            "ensemble",
            f"job {number} takes or gives {here}, job {first_number} {there}; choose jobs of one"
            " kind of model, such as by an experiment of their own",
        )


def _signature(model: Any) -> str:
    def shown(structure: Any) -> str:
        return str(keras.tree.map_structure(lambda t: str(t.shape[1:]), structure))

    inputs, outputs = _ends(model)
    return f"{shown(inputs)} -> {shown(outputs)}"


def _ends(model: Any) -> tuple[Any, Any]:
    try:
        return ends(model)
    except ValueError as error:
        raise SpecError("ensemble", f"the model {model.name}: {error}") from None


def means(counts: Counter[int], by_job: Mapping[int, Any]) -> list[tuple[Any, int]]:
    """The predictions of a bag of jobs with their counts, as a Scorer takes them."""
    return [(by_job[number], count) for number, count in sorted(counts.items())]
