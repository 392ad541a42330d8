"""Keras's own settings of the script that submits, which a worker does not have.

They reach the job as its dtype policy, or are refused. Keras is not imported here: a script that
has not imported it has set nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.job import ModelSpec, floatx_of
from fitfleet.spec.keras_objects.canonical import nodes
from fitfleet.spec.keras_objects.precision import policy_of_script

_EPSILON = 1e-7


def policy_of_built(model: Any) -> dict[str, str]:
    """The dtype policy that a worker needs to make a builder's model as it was made here."""
    if model is None:
        return {}
    policy = policy_of_script(sys.modules["keras"].config.dtype_policy().name)
    return {} if policy is None else {"dtype_policy": policy}


def check(model: ModelSpec, values: dict[str, Any], *, told: dict[str, Any]) -> None:
    """SpecError for what changes the numbers of a `fit` here, and would not those of a worker.

    `values` are the job's arguments; a dtype policy among those `told` by the caller overrides
    Keras's.
    """
    keras = sys.modules.get("keras")
    if keras is None:
        return
    if told.get("dtype_policy") is None:
        _check_precision(keras.config, model, values.get("dtype_policy"))
    if keras.config.epsilon() != _EPSILON:
        _refuse("epsilon", keras.config.epsilon(), f"set_epsilon({_EPSILON})")
    if keras.config.image_data_format() != "channels_last" and _depends_on_format(model):
        raise SpecError(
            "model",
            "keras.config.image_data_format() is 'channels_first' here, and a worker's is"
            " 'channels_last'; give data_format='channels_first' to the layers and operations of"
            " the model, and call keras.config.set_image_data_format('channels_last')",
        )
    for name in ("max_epochs", "max_steps_per_epoch"):
        limit = getattr(keras.config, name, lambda: None)()
        if limit is not None:
            _refuse(name, limit, f"set_{name}(None)")


def _check_precision(config: Any, model: ModelSpec, policy: Any) -> None:
    floatx = config.floatx()
    if floatx != floatx_of(policy):
        raise SpecError(
            "dtype_policy",
            f"keras.config.floatx() is {floatx} here, and the job would compute losses and metrics"
            f" in {floatx_of(policy)}; give dtype_policy='float64' or dtype_policy='float32'",
        )
    if model.builder is not None and policy is None and config.dtype_policy().name != "float32":
        raise SpecError(
            "dtype_policy",
            f"keras.config.dtype_policy() is {config.dtype_policy().name} here, and the worker that"
            " calls the builder would make its layers in float32; give dtype_policy=...",
        )


def _refuse(name: str, value: Any, call: str) -> None:
    raise SpecError(
        f"keras.config.{name}",
        f"it is {value} here, which workers do not know; call keras.config.{call} first",
    )


def _depends_on_format(model: ModelSpec) -> bool:
    """Whether a part of the model asks for Keras's format when it is called."""
    return model.builder is not None or any(_formats(model.config))


def _formats(document: Any) -> Iterator[bool]:
    for node in nodes(document):
        config = node.get("config")
        if str(node.get("module")).startswith("keras.src.ops") and isinstance(config, dict):
            yield config.get("data_format", "") is None
