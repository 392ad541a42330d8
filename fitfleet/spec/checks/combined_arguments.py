"""Arguments of a job that fit each one alone, and not together."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.canonical import nodes

_MAX_PATTERNS = 64
_MAX_PATTERN = 256


def check_combined(spec: JobSpec) -> None:
    """Raises SpecError for two arguments that exclude each other."""
    if spec.initial_epoch >= spec.epochs:
        raise SpecError(
            "initial_epoch",
            f"{spec.initial_epoch} leaves none of epochs={spec.epochs}, which counts those before"
            " it too, as in Keras; give a smaller one, or more epochs",
        )
    if spec.validation_split and spec.dataset.x_val:
        raise SpecError("validation_split", "the dataset has x_val already; give one of the two")
    if spec.gradient_accumulation_steps and spec.optimizer["config"].get(
        "gradient_accumulation_steps"
    ):
        raise SpecError(
            "gradient_accumulation_steps", "the optimizer has it already; give one of the two"
        )


def check_freeze(spec: JobSpec) -> None:
    """Raises SpecError for a pattern that names no layer; a builder's model is looked at later."""
    if len(spec.freeze) > _MAX_PATTERNS or any(
        len(pattern) > _MAX_PATTERN for pattern in spec.freeze
    ):
        raise SpecError(
            "freeze", f"at most {_MAX_PATTERNS} names of {_MAX_PATTERN} characters are taken"
        )
    if not spec.freeze or spec.model.config is None:
        return
    names = [name for node in nodes(spec.model.config["config"]) if (name := _layer_name(node))]
    for pattern in spec.freeze:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SpecError(
                "freeze", f"no layer is called {pattern!r}; {catalog.nearest(pattern, names)}"
            )


def _layer_name(node: dict[str, Any]) -> Any:
    config = node.get("config")
    return config.get("name") if isinstance(config, dict) else None
