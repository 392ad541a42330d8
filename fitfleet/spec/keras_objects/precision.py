"""Which layers of a Keras object follow the dtype policy that it was made under.

Keras writes a policy into every layer's config, so a config alone cannot tell the two apart. An
object can: layers without a policy of their own share the one that was in effect.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from fitfleet.spec.keras_objects.canonical import nodes

# Losses, metrics and data stay float32 under these.
HALF = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")


def tell_policies(model: Any, document: dict[str, Any]) -> None:
    """Leave the dtype of followers out of the model's document, and name the policy if it is half.

    In a model that was itself read from a config each layer has its own; nothing is left out.
    """
    policy = getattr(model, "dtype_policy", None)
    name = getattr(policy, "name", None)
    if name is None:
        return
    layers = list(_layers(model))
    followers = [layer for layer in layers if layer.dtype_policy is policy]
    of_job = policy_of_script(name)
    if of_job is not None:
        document["dtype_policy"] = of_job
    if followers and (name in HALF or len(followers) < len(layers)):
        _leave_out(document, {layer.name for layer in followers}, name)


def policy_of_script(policy: str) -> str | None:
    """The dtype policy of a job whose model was made in this script under this one.

    None: float32, or what the layers' own dtypes say. float64 is a job's only with the floatx.
    """
    if policy in HALF:
        return policy
    return "float64" if policy == sys.modules["keras"].config.floatx() == "float64" else None


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models in it; what a wrapper holds is the wrapper's."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)


def _leave_out(document: dict[str, Any], followers: set[str], policy: str) -> None:
    for layer in document.get("config", {}).get("layers", ()):
        config = layer.get("config", {})
        if isinstance(config.get("layers"), list):
            _leave_out(layer, followers, policy)
        elif config.get("name") in followers and layer.get("class_name") != "InputLayer":
            for part in layer_configs(layer):
                if policy_name(part.get("dtype")) == policy:
                    del part["dtype"]


def layer_configs(document: Any) -> Iterator[dict[str, Any]]:
    """The configs of all layers in a document that take a dtype, at any depth; no inputs."""
    for node in nodes(document):
        config = node.get("config")
        if node["class_name"] == "InputLayer" or not isinstance(config, dict):
            continue
        if node.get("module") == "keras.layers" or {"name", "dtype"} <= set(config):
            yield config


def policy_name(dtype: Any) -> Any:
    """`mixed_float16`, of a policy by its name or as Keras writes it; None where there is none."""
    return dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
