"""Which jobs the fused engine may train: those whose numbers are the same in a stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.precision import layer_configs
from fitfleet.worker.engines import proven_classes
from fitfleet.worker.models.build import has_custom_classes
from fitfleet.worker.prepared_job import PreparedJob

_CALLBACKS = frozenset({"EarlyStopping", "ReduceLROnPlateau", "LearningRateScheduler"})
# An epoch of these in a stack of 32 takes 2/3 to 1/11 of the time in the loop.
_QUICK_IN_A_STACK = frozenset({"LSTM", "GRU", "SimpleRNN", "Conv1D", "Conv2D", "Embedding"})
_PRECISIONS = (None, "float32", "float64")


def unfusable(job: PreparedJob) -> str | None:
    """Why a job cannot be trained in a stack with others, or None when it can."""
    if job.options.fuse is False:
        return "fuse=False"
    return _unfusable_spec(job.spec)


def has_stacked_form(spec: JobSpec) -> bool:
    """Whether a layer of the model is faster in a stack, by benchmarks/engine_choice.py."""
    return any(name in _QUICK_IN_A_STACK for name, _ in _layers(spec.model.config))


def layer_count(spec: JobSpec) -> int:
    """The number of layers, from which the time of a trace is estimated."""
    return max(1, sum(1 for _ in layer_configs(spec.model.config)))


def _unfusable_spec(spec: JobSpec) -> str | None:
    reason = unstackable(spec)
    if reason is None:
        part = proven_classes.unproven_in_a_stack(spec)
        reason = f"{part} has not been compared with Keras in a stack" if part else None
    return reason


def unstackable(spec: JobSpec) -> str | None:
    """Why a stack cannot train the model or would change its numbers, proven or not."""
    if spec.loss is None:
        return "the model adds its losses itself"
    return _custom_code(spec) or _unstackable_fit(spec)


def _custom_code(spec: JobSpec) -> str | None:
    is_custom = spec.model.config is None or has_custom_classes(spec)
    return "the model has custom code" if is_custom else None


def _unstackable_fit(spec: JobSpec) -> str | None:
    if spec.dtype_policy not in _PRECISIONS:
        return f"dtype_policy={spec.dtype_policy!r}"
    config = spec.optimizer["config"]
    if (spec.gradient_accumulation_steps or 1) > 1 or config.get("gradient_accumulation_steps"):
        return "gradients are accumulated"
    if config.get("use_ema"):
        return "weights are averaged (use_ema)"
    for callback in spec.callbacks:
        if callback["class_name"] not in _CALLBACKS:
            return f"the callback {callback['class_name']}"
    for name, config in _layers(spec.model.config):
        if _precision(config.get("dtype")) not in _PRECISIONS:
            return f"{name} has the dtype {_precision(config['dtype'])}"
        if config.get("stateful"):
            return f"{name} is stateful"
        if config.get("activity_regularizer") or name == "ActivityRegularization":
            return f"{name} regularises its activity"
        if config.get("embeddings_regularizer") or config.get("embeddings_constraint"):
            return f"{name} regularises or constrains its embeddings"
    return None


def _precision(dtype: Any) -> Any:
    """The name of a layer's dtype policy; None for an input of integers, booleans or strings."""
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    is_float = not (isinstance(dtype, str) and dtype.startswith(("int", "uint", "bool", "string")))
    return dtype if is_float else None


def _layers(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(class, config) of every layer in a Keras config, at any depth."""
    if isinstance(node, list):
        for part in node:
            yield from _layers(part)
    elif isinstance(node, dict):
        config = node.get("config")
        if isinstance(node.get("class_name"), str) and isinstance(config, dict):
            yield node["class_name"], config
        for part in node.values():
            yield from _layers(part)
