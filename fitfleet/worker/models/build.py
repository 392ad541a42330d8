"""From a JobSpec to a compiled Keras model, always by the same steps."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.canonical import nodes
from fitfleet.spec.keras_objects.custom_objects import is_of_keras
from fitfleet.spec.keras_objects.precision import layer_configs, policy_name
from fitfleet.spec.parts import hyperparameters
from fitfleet.spec.parts.compile import optimizer as default_optimizer
from fitfleet.spec.parts.model import compiled_loss
from fitfleet.text import with_article
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.seeding import seed_everything
from fitfleet.worker.state import initial_weights
from fitfleet.worker.user_code import imports, name_counts


@contextmanager
def precision(policy: str | None) -> Iterator[None]:
    """Keras's global float type and dtype policy as the job wants them, put back afterwards.

    Build, fit and evaluation of the job all happen inside. With "float64" the losses, metrics and
    data are float64 as well (JobSpec.floatx).
    """
    import keras

    floatx, before = keras.config.floatx(), keras.config.dtype_policy()
    try:
        if policy:
            keras.config.set_floatx("float64" if policy == "float64" else "float32")
            keras.config.set_dtype_policy(policy)
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(before)


def build(
    spec: JobSpec,
    settings: Settings,
    *,
    steps_per_execution: int = 1,
    accumulate: int | None = None,
) -> Any:
    """The compiled Keras model of a job, with the initial weights of its seed.

    `accumulate` overrides the spec's gradient_accumulation_steps (OOM fallback).
    Raises SpecError for what Keras refuses.
    """
    model = architecture(spec, settings)
    compile_model(model, spec, steps_per_execution=steps_per_execution, accumulate=accumulate)
    initial_weights.begin_optimizer(model, spec, settings)
    return model


def architecture(spec: JobSpec, settings: Settings) -> Any:
    """The model without `compile`, seeded by the job's seed just before it is built.

    Initial weights that the job brings are in it, and frozen layers are frozen.
    """
    model = _fresh(spec, settings)
    if spec.initial_weights is not None or spec.freeze:
        initial_weights.begin(model, spec, settings)
    return model


def _fresh(spec: JobSpec, settings: Settings) -> Any:
    import keras

    if has_custom_classes(spec):
        imports.import_named(spec, settings)
    if spec.model.builder is not None:
        function = imports.function(spec.model.builder.path, settings, "model")
        seed_everything(spec.seed, has_own_code=True)
        name_counts.restart()
        model, _ = hyperparameters.build(function, spec.model.builder)
        return _built(model, spec)
    config = model_config(spec)
    is_own = has_custom_classes(spec)
    seed_everything(spec.seed, has_own_code=is_own)
    if is_own:
        name_counts.restart()
    try:
        model = keras.saving.deserialize_keras_object(copy.deepcopy(config))
    except (ValueError, TypeError, KeyError) as error:
        raise SpecError("model", f"Keras cannot build it: {explanation(error)}") from error
    return _built(model, spec)


def model_config(spec: JobSpec) -> dict[str, Any]:
    """Keras's config of the model, with a dtype for every layer where the job has a policy."""
    config = {k: v for k, v in (spec.model.config or {}).items() if k != "compile_config"}
    return _with_policy(config, spec.dtype_policy) if spec.dtype_policy else config


def _built(model: Any, spec: JobSpec) -> Any:
    import keras

    if not isinstance(model, keras.Model):
        path = spec.model.builder.path if spec.model.builder else "config"
        raise SpecError(
            "model", f"{path} gave {with_article(type(model).__name__)}, not a Keras model"
        )
    return model


def compile_model(
    model: Any, spec: JobSpec, *, steps_per_execution: int = 1, accumulate: int | None = None
) -> None:
    """Compiles in place with the spec's optimizer, losses and metrics.

    A model that its builder has compiled stays so in a job without a loss.
    """
    if model.compiled and spec.loss is None:
        _check_left_to_builder(spec, accumulate)
        model.jit_compile = spec.jit_compile
        model.steps_per_execution = steps_per_execution
        return
    try:
        model.compile(
            optimizer=optimizer(spec, accumulate=accumulate),
            loss=_loss(model, spec),
            loss_weights=spec.loss_weights,
            metrics=_objects(spec.metrics),
            weighted_metrics=_objects(spec.weighted_metrics),
            jit_compile=spec.jit_compile,
            steps_per_execution=steps_per_execution,
            # As its builder has compiled it: its steps may be such that only Python takes them.
            **({"run_eagerly": True} if model.compiled and model.run_eagerly else {}),
        )
    except (ValueError, TypeError) as error:
        refused_by = "Keras refuses it"
        if type(model).compile.__module__.split(".")[0] != "keras":
            refused_by = (
                f"{type(model).__name__} has a compile() of its own, which is called with Keras's"
                " arguments, optimizer, loss, metrics and more; let it hand them to"
                " super().compile(), and take what is its own in __init__; or compile the model in"
                " its builder, and leave optimizer, loss and metrics of the job out"
            )
        raise SpecError("compile", f"{refused_by}: {explanation(error)}") from error


def _loss(model: Any, spec: JobSpec) -> Any:
    """The loss that the builder has compiled its model with, where the job's is the same.

    A spec has a loss with its default arguments by its name alone, and a train_step may call
    `self.loss`.
    """
    if model.compiled and compiled_loss(model) == spec.loss:
        return model.loss
    return _objects(spec.loss)


def _check_left_to_builder(spec: JobSpec, accumulate: int | None) -> None:
    """Raises SpecError for a job that says how to compile what its builder has compiled."""
    given = {
        "optimizer": spec.optimizer != default_optimizer(None),
        "metrics": spec.metrics,
        "weighted_metrics": spec.weighted_metrics,
        "gradient_accumulation_steps": accumulate or spec.gradient_accumulation_steps,
    }
    for name, is_given in given.items():
        if is_given:
            raise SpecError(
                name,
                "the builder has compiled its model, and a job without a loss leaves that as it is;"
                f" say in the builder what {name} should be, or give the job a loss too",
            )


def optimizer(spec: JobSpec, *, accumulate: int | None = None) -> Any:
    """A new Keras optimizer of the spec; its learning rate may be a schedule."""
    import keras

    document = copy.deepcopy(spec.optimizer)
    config = document.setdefault("config", {})
    steps = accumulate or spec.gradient_accumulation_steps
    if steps and steps > 1:
        config["gradient_accumulation_steps"] = steps
    rate = config.get("learning_rate")
    if isinstance(rate, dict):
        rate.setdefault("module", "keras.optimizers.schedules")
    try:
        return keras.saving.deserialize_keras_object(document)  # `get` does not know Lamb
    except (ValueError, TypeError) as error:
        raise SpecError("optimizer", f"Keras refuses it: {explanation(error)}") from error


def has_custom_classes(spec: JobSpec) -> bool:
    """Whether the spec names classes or functions of a user's module."""
    document = [spec.model.config, spec.loss, spec.metrics, spec.weighted_metrics]
    return _is_custom([*document, spec.optimizer, spec.callbacks])


def _is_custom(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_is_custom, node))
    if not isinstance(node, dict):
        return False
    name, module = node.get("registered_name"), node.get("module")
    if isinstance(name, str) and ">" in name:
        return True
    if "class_name" in node and isinstance(module, str) and not is_of_keras(module):
        return True
    return any(map(_is_custom, node.values()))


def _objects(value: Any) -> Any:
    """Identifiers stay (Keras resolves them by shape); configs become objects, at any depth."""
    if isinstance(value, dict):
        if "class_name" in value:
            import keras

            return keras.saving.deserialize_keras_object(copy.deepcopy(value))
        return {key: _objects(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_objects(part) for part in value]
    return value


def _with_policy(config: dict[str, Any], policy: str) -> dict[str, Any]:
    """The model's config with a dtype for every layer: its own one, or else the policy.

    A config as Keras writes it gives all layers one; then what most of them have is no layer's
    own. Inputs keep integer dtypes.
    """
    config = copy.deepcopy(config)
    layers = list(layer_configs(config))
    policies = Counter(policy_name(layer.get("dtype")) for layer in layers)
    common = None if None in policies or not policies else policies.most_common(1)[0][0]
    for layer in layers:
        if policy_name(layer.get("dtype")) == common:
            layer["dtype"] = policy
    for node in nodes(config) if policy == "float64" else ():
        if node["class_name"] == "InputLayer" and node["config"].get("dtype") in ("float32", None):
            node["config"]["dtype"] = "float64"
    return config
