"""Whether Keras can infer the direction of a monitored metric, when the mode is 'auto'."""

from __future__ import annotations

from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.metric_directions import agreed, named_metrics, plain_name

# Keras has no direction for these.
_COUNTS = ("FalseNegatives", "FalsePositives", "TrueNegatives", "TruePositives")


def check_modes(spec: JobSpec) -> None:
    """Raises SpecError for a callback with mode 'auto' if Keras cannot infer the direction.

    Keras infers it from the names of losses and metrics without the prefix of an output: for
    `head_loss` and `head_accuracy` it would end the fit with an error.
    """
    if spec.model.config is None:  # a builder may compile the model itself
        return
    for index, callback in enumerate(spec.callbacks):
        config = callback.get("config") or {}
        monitor = config.get("monitor")
        is_auto = config.get("mode", "auto") == "auto"
        if isinstance(monitor, str) and is_auto and not _is_known(monitor, spec):
            place = f"callbacks[{index}].{callback['class_name']}.mode"
            raise SpecError(
                place, f"Keras cannot tell the direction of {monitor!r}; {_hint(monitor, spec)}"
            )


def _is_known(monitor: str, spec: JobSpec) -> bool:
    plain = monitor.removeprefix("val_")
    if plain == "loss":
        return True
    return any(
        metric.name == plain and metric.class_name not in _COUNTS
        for part in (spec.metrics, spec.weighted_metrics)
        for metric in named_metrics(part)
    )


def _hint(monitor: str, spec: JobSpec) -> str:
    parts: dict[str, Any] = {
        name: getattr(spec, name) for name in ("loss", "metrics", "weighted_metrics")
    }
    direction = agreed(plain_name(monitor), [parts])
    if direction is None:
        return "give mode='min' or mode='max'"
    return f"give mode={direction[:3]!r}"
