"""The check of a spec before its row is written, without TensorFlow.

Size and depth of the document, the allow-list of names, bounds of arguments, then shapes and
weights. A spec that passes can be handed to Keras on a worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec import limits
from fitfleet.spec.adapted_layers import is_to_adapt
from fitfleet.spec.checks.allow import check_names
from fitfleet.spec.checks.arguments import check_arguments
from fitfleet.spec.checks.consistency import check_together
from fitfleet.spec.checks.cost import check_metrics, check_optimizer
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.canonical import model_kind
from fitfleet.spec.keras_objects.object_documents import is_custom
from fitfleet.spec.module_trust import check_trusted
from fitfleet.spec.shape_rules.model_facts import (
    NOTHING,
    InputFacts,
    ModelFacts,
    OutputFacts,
    layers_inside,
    model_facts,
)
from fitfleet.spec.shape_rules.shapes import Shape


def check(spec: JobSpec, settings: Settings, input_shape: Shape | None = None) -> ModelFacts:
    """The facts of the job's model. Raises SpecError, which names the place, for what is refused.

    `input_shape` is that of the data without the batch, for a Sequential without an input.
    """
    facts = NOTHING
    if spec.model.config is not None:
        facts = check_model(spec.model.config, settings, input_shape, spec.adapt)
    for place in ("optimizer", "loss", "metrics", "weighted_metrics", "callbacks"):
        part = getattr(spec, place)
        if not isinstance(part, str | None):
            limits.check_document(part, place)
            check_names(part, place, settings)
    check_together(spec, facts)
    check_optimizer(spec.optimizer, settings)
    for place in ("metrics", "weighted_metrics"):
        check_metrics(getattr(spec, place), place, settings)
    _check_paths(spec, settings)
    return facts


def check_model(
    model: dict[str, Any],
    settings: Settings,
    input_shape: Shape | None = None,
    adapt: Sequence[str] = (),
) -> ModelFacts:
    """The same for only the canonical config of a model; layers to `adapt` need no state."""
    limits.check_document(model, "model")
    check_names(model, "model", settings)
    layers = _layers(model)
    try:
        _check_layers(layers, settings, list(adapt))
        facts = model_facts(model, input_shape, settings)
    except _NO_USE as error:
        raise SpecError(
            "model", f"an argument has a value that Keras does not accept: {str(error)[:120]}"
        ) from None
    if facts.parameters > settings.max_parameters:
        raise SpecError(
            "model",
            f"{facts.parameters:,} weights; at most {settings.max_parameters:,} are allowed "
            "(setting max_parameters)",
        )
    return facts


# Rules of shapes raise these for arguments of unexpected types.
_NO_USE = (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError)


def _layers(model: Any) -> list[Any]:
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else None
    if model_kind(model) is None or not isinstance(layers, list):
        raise SpecError("model.layers", "a model needs a list of layers")
    return layers


def _check_layers(layers: list[Any], settings: Settings, adapt: list[str]) -> None:
    inside = list(layers_inside(layers, "model.layers"))
    if len(inside) > settings.max_layers:
        raise SpecError(
            "model.layers",
            f"{len(inside)} layers; at most {settings.max_layers} are allowed (setting max_layers)",
        )
    for index, layer in enumerate(layers):
        if not isinstance(layer, dict) or not isinstance(layer.get("class_name"), str):
            raise SpecError(
                f"model.layers[{index}]", "it is not a layer; a search space belongs in a sweep"
            )
    for layer, place in inside:
        if not isinstance(layer.get("config"), dict):
            raise SpecError(place, "a layer needs an object of arguments")
        if layer.get("module") == "keras.layers" and not is_custom(layer):
            check_arguments(layer, place, settings, is_adapted=is_to_adapt(layer, adapt))


def _check_paths(spec: JobSpec, settings: Settings) -> None:
    """Check the modules of the functions that a worker would import."""
    paths = [(f"evaluators[{i}]", evaluator.path) for i, evaluator in enumerate(spec.evaluators)]
    if spec.model.builder is not None:
        paths.append(("model", spec.model.builder.path))
    if spec.dataset.function is not None:
        paths.append(("dataset", spec.dataset.function.path))
    for place, path in paths:
        check_trusted(path, settings, place)


__all__ = ["InputFacts", "ModelFacts", "OutputFacts", "check", "check_model"]
