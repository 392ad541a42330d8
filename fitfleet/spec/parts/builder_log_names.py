"""The names in the logs of a model that a builder returned where its job is submitted.

A worker calls the builder again, so the job has no config of the model; the metrics that callbacks
monitor and the names of losses are compared with the object instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.checks.consistency import (
    BY_OUTPUT,
    check_is_one_number,
    check_keys,
    has_custom,
    monitored,
)
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.custom_objects import is_of_keras
from fitfleet.spec.keras_objects.metric_directions import named_metrics
from fitfleet.spec.keras_objects.naming import is_made_up

# Methods that decide the names of logs; with a custom one they may be any.
_NAMING = ("train_step", "test_step", "compute_metrics", "get_metrics_result", "metrics")


@dataclass(frozen=True)
class BuiltNames:
    """`outputs`: the names of outputs for losses and metrics; empty if they are unknown here.

    `metrics`: the names of metrics of the model's layers, besides those of `compile`.
    """

    outputs: tuple[str, ...]
    metrics: tuple[str, ...]


def names_of(model: Any) -> BuiltNames | None:
    """The names of a model; None if its custom steps may log anything."""
    if model is None or not all(_is_unchanged(model, name) for name in _NAMING):
        return None
    metrics = tuple(str(metric.name) for metric in model.metrics)
    return BuiltNames(_outputs(model), metrics)


def check_names_of_built(spec: JobSpec, built: BuiltNames | None) -> None:
    """Raises SpecError for a monitored metric that no epoch has, and for losses of other outputs.

    The model of a job without a loss is compiled by its builder, with metrics not in the spec.
    """
    if built is None or spec.model.builder is None or spec.loss is None:
        return
    if built.outputs:
        for part in BY_OUTPUT:
            check_keys(part, getattr(spec, part), list(built.outputs))
    parts = (spec.metrics, spec.weighted_metrics)
    if any(map(has_custom, parts)):
        return
    metrics = {metric.name for part in parts for metric in named_metrics(part)} | {"loss"}
    known = {"learning_rate", *metrics, *(f"weighted_{name}" for name in metrics)}
    known |= {f"{output}_{name}" for output in built.outputs for name in metrics}
    for index, callback in enumerate(spec.callbacks):
        for argument, monitor in monitored(callback):
            check_is_one_number(spec, index, argument, monitor)
            if _is_known(monitor.removeprefix("val_"), known, built):
                continue
            usual = [name for name in sorted({*known, *built.metrics}) if "weighted_" not in name]
            usual += [f"val_{name}" for name in usual]
            raise SpecError(
                f"callbacks[{index}].{callback['class_name']}.{argument}",
                f"the fit has no metric {monitor[:60]!r}; {catalog.nearest(monitor, usual)}",
            )


def without_what_stays(compiled: dict[str, Any]) -> dict[str, Any]:
    """The parts without those that stay as the builder compiled them, if it gave no loss."""
    if compiled.get("loss") is not None:
        return compiled
    kept = ("jit_compile", "steps_per_execution", "dtype_policy")
    return {k: v for k, v in compiled.items() if k in kept}


def _is_known(name: str, known: set[str], built: BuiltNames) -> bool:
    if name in known or _uncounted(name) in map(_uncounted, built.metrics):
        return True
    return not built.outputs and any(name.endswith(f"_{metric}") for metric in known)


def _uncounted(name: str) -> str:
    """The name without the number of this process."""
    return re.sub(r"_\d+$", "", name)


def _is_unchanged(model: Any, name: str) -> bool:
    """Whether the method of the model is Keras's, not that of a custom class."""
    attribute = getattr(type(model), name, None)
    attribute = attribute.fget if isinstance(attribute, property) else attribute
    return is_of_keras(str(getattr(attribute, "__module__", "")))


def _outputs(model: Any) -> tuple[str, ...]:
    """Keys of a dict, else names of layers; empty if these are numbered default names."""
    names = [str(name) for name in getattr(model, "output_names", None) or ()]
    classes = {layer.name: type(layer).__name__ for layer in model.layers} if names else {}
    if any(is_made_up(name, classes.get(name, "")) for name in names):
        return ()
    ends = getattr(model, "_outputs_struct", None)
    return tuple(dict.fromkeys([*(ends if isinstance(ends, dict) else ()), *names]))
