"""Whether the arguments of a job are consistent: names of outputs, callbacks and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.checks.monitors import check_modes
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.callback_file_names import fields
from fitfleet.spec.keras_objects.counted_names import counted_prefix
from fitfleet.spec.keras_objects.metric_directions import metrics_named, named_metrics
from fitfleet.spec.keras_objects.object_documents import is_custom
from fitfleet.spec.shape_rules.model_facts import ModelFacts

BY_OUTPUT = ("loss", "loss_weights", "metrics", "weighted_metrics")
_SETS_RATE = ("ReduceLROnPlateau", "LearningRateScheduler")


def check_together(spec: JobSpec, facts: ModelFacts) -> None:
    """Raises SpecError for parts that contradict each other, whatever the dataset is.

    The model of a builder that only a worker can call is not checked.
    """
    _check_rates(spec)
    if spec.model.config is not None and facts.outputs:
        names = output_names(spec.model.config, facts)
        for part in BY_OUTPUT:
            check_keys(part, getattr(spec, part), names)
        for part in ("loss", "metrics", "weighted_metrics"):
            _check_count(part, getattr(spec, part), names)
        _check_lists_for_a_dict(spec)
        _check_losses(spec, names)
        _check_monitors(spec, names)
    check_modes(spec)


def output_names(model: dict[str, Any], facts: ModelFacts) -> list[str]:
    """The names of the outputs for losses and metrics: keys of a dict, else names of layers."""
    ends = model["config"].get("output_layers")
    layers = [output.name for output in facts.outputs]
    return [*ends, *layers] if isinstance(ends, dict) else layers


def list_of_outputs(spec: JobSpec, facts: ModelFacts) -> list[str]:
    """The names of the outputs of a model with a list of them; empty for any other."""
    config = (spec.model.config or {}).get("config") or {}
    is_list = isinstance(config.get("output_layers"), list) and len(facts.outputs) > 1
    return [output.name for output in facts.outputs] if is_list else []


def _check_rates(spec: JobSpec) -> None:
    if not isinstance(spec.optimizer.get("config", {}).get("learning_rate"), dict):
        return
    for index, callback in enumerate(spec.callbacks):
        if callback["class_name"] in _SETS_RATE:
            raise SpecError(
                f"callbacks[{index}].{callback['class_name']}",
                "it sets the learning rate, and the optimizer's is a schedule; give the optimizer a"
                " number, or drop the callback",
            )


def check_keys(part: str, value: Any, names: list[str]) -> None:
    """Raises SpecError for a key of losses, metrics, ... that is the name of no output."""
    if not isinstance(value, dict) or "class_name" in value:
        return
    for key in value:
        if key not in names:
            hint = catalog.nearest(key, names)
            raise SpecError(f"{part}.{key[:60]}", f"the model has no output of that name; {hint}")


def _check_count(part: str, value: Any, names: list[str]) -> None:
    """Raises SpecError for a list without one entry for each output, which Keras refuses."""
    outputs = len(dict.fromkeys(names))
    if isinstance(value, list) and outputs > 1 and len(value) != outputs:
        raise SpecError(
            part,
            f"a list has one entry for each of the {outputs} outputs, this one has {len(value)};"
            f" name the outputs instead, {{output: {part}}}, from {_shown(names)}",
        )


def _check_lists_for_a_dict(spec: JobSpec) -> None:
    """Raises SpecError for a list with a dict of outputs: Keras would match them alphabetically."""
    ends = (spec.model.config or {})["config"].get("output_layers")
    if not isinstance(ends, dict) or list(ends) == sorted(ends):
        return
    for part in BY_OUTPUT:
        if isinstance(getattr(spec, part), list):
            raise SpecError(
                part,
                "it is a list, and the model gives its outputs as a dict, to whose names Keras"
                f" hands a list out in alphabetical order; name the outputs, {{output: {part}}},"
                f" from {_shown(list(ends))}",
            )


def _check_losses(spec: JobSpec, names: list[str]) -> None:
    """Raises SpecError unless each of a list of outputs has a loss, and each loss a weight."""
    loss, weights = spec.loss, spec.loss_weights
    ends = (spec.model.config or {})["config"].get("output_layers")
    if _is_by_name(loss) and not isinstance(ends, dict):
        missing = next((name for name in names if name not in loss), None)
        if missing is not None:
            raise SpecError(
                "loss",
                f"has no entry for the output {missing!r}; give it a loss, or None if it is to be"
                " trained without one",
            )
    if isinstance(loss, list) and _is_by_name(weights) and names != sorted(names):
        raise SpecError(
            "loss_weights",
            "Keras gives weights by name to a list of losses in the names' alphabetical order,"
            " which is not that of the outputs; name the losses too, {output: loss}, from "
            + _shown(names),
        )
    is_same = _count(weights) == _count(loss)
    if _is_by_name(loss) and isinstance(weights, dict):
        is_same = set(weights) == set(loss)
    if weights is not None and not is_same:
        raise SpecError(
            "loss_weights",
            f"{_count(weights)} for {_count(loss)} losses; give each output a loss and a weight,"
            f" {{output: loss}} and {{output: weight}}, from {_shown(names)}",
        )


def _is_by_name(loss: Any) -> bool:
    return isinstance(loss, dict) and "class_name" not in loss


def _count(value: Any) -> int:
    """The number of losses or weights; a single one is for all outputs."""
    return len(value) if isinstance(value, list) or _is_by_name(value) else 1


def _shown(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))[:120]


def _check_monitors(spec: JobSpec, names: list[str]) -> None:
    parts = (spec.metrics, spec.weighted_metrics)
    if any(map(has_custom, parts)):
        _check_counted(spec)
        return  # a class of the user may give its values any name
    metrics = {metric.name for part in parts for metric in named_metrics(part)}
    metrics |= {f"weighted_{name}" for name in metrics}  # as Keras names it for both kinds
    logged = (*metrics, "loss")
    known = {
        "learning_rate",
        *logged,
        *(f"{output}_{name}" for output in names for name in logged),
    }
    for index, callback in enumerate(spec.callbacks):
        for argument, monitor in monitored(callback):
            check_is_one_number(spec, index, argument, monitor)
            if monitor.removeprefix("val_") in known:
                continue
            usual = [name for name in sorted(known) if "weighted_" not in name]
            usual += [f"val_{name}" for name in usual]
            raise SpecError(
                f"callbacks[{index}].{callback['class_name']}.{argument}",
                f"the fit has no metric {monitor[:60]!r}; {catalog.nearest(monitor, usual)}",
            )


def check_is_one_number(spec: JobSpec, index: int, argument: str, monitor: str) -> None:
    """Raises SpecError for a monitored metric that has a value for each class or threshold."""
    for metric in metrics_named(monitor.removeprefix("val_"), spec.metrics, spec.weighted_metrics):
        if metric.has_several_values:
            raise SpecError(
                f"callbacks[{index}].{spec.callbacks[index]['class_name']}.{argument}",
                f"{monitor[:60]!r} has several values, and Keras's callbacks compare one; give"
                f" {metric.class_name} an average, or a single threshold",
            )


def _check_counted(spec: JobSpec) -> None:
    """Check a monitor that is the numbered name of a metric in the submitting script."""
    names = [name for part in (spec.metrics, spec.weighted_metrics) for name in _own_names(part)]
    for index, callback in enumerate(spec.callbacks):
        for argument, monitor in monitored(callback):
            plain = monitor.removeprefix("val_")
            counted = re.sub(r"_\d+$", "", plain)
            if counted in names and plain not in names:
                raise SpecError(
                    f"callbacks[{index}].{callback['class_name']}.{argument}",
                    f"the fit has no metric {monitor[:60]!r}: metrics are counted as in a fresh"
                    f" process; {catalog.nearest(monitor, [*names, *(f'val_{n}' for n in names)])}",
                )


def _own_names(metrics: Any) -> list[str]:
    """The numbered names that Keras has given to metrics of custom classes."""
    if isinstance(metrics, list):
        return [name for part in metrics for name in _own_names(part)]
    if not isinstance(metrics, dict):
        return []
    if "class_name" not in metrics:
        return [name for part in metrics.values() for name in _own_names(part)]
    name = (metrics.get("config") or {}).get("name") if counted_prefix(metrics) else None
    return [name] if isinstance(name, str) else []


def monitored(callback: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(argument, metric) of each metric that a callback needs."""
    name, config = callback["class_name"], callback.get("config") or {}
    monitor, path = config.get("monitor", "val_loss"), config.get("filepath")
    is_watching = name in ("EarlyStopping", "ReduceLROnPlateau") or config.get("save_best_only")
    if is_watching and isinstance(monitor, str) and not is_custom(callback):
        yield "monitor", monitor
    if name == "ModelCheckpoint" and isinstance(path, str) and not is_custom(callback):
        yield from (("filepath", field) for field in fields(path) if field != "epoch")


def has_custom(value: Any) -> bool:
    """Whether a custom class or function is among losses or metrics."""
    if isinstance(value, list):
        return any(map(has_custom, value))
    if not isinstance(value, dict):
        return False
    return ("class_name" in value and is_custom(value)) or any(map(has_custom, value.values()))
