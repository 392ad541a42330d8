"""Jobs without a loss: the model adds its losses, or its `train_step` computes one."""

from __future__ import annotations

from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.object_documents import is_custom, is_space


def check_loss(spec: JobSpec) -> None:
    """Raises SpecError for a job without a loss whose model adds none, as Keras's `fit` does.

    The model of a builder is checked by Keras on the worker.
    """
    if spec.loss is not None:
        return
    if spec.loss_weights is not None:
        raise SpecError("loss_weights", "there is no loss to weigh; give one, or drop the weights")
    if spec.model.config is not None and not _adds_losses(spec.model.config):
        raise SpecError(
            "loss",
            "is missing; a fit needs one, such as 'mse', or a model that adds its losses itself"
            " (a layer of your own with add_loss, a regularizer, or a train_step)",
        )


def _adds_losses(node: Any) -> bool:
    """Whether a part of a model's config may add a loss: a regularizer, or custom code."""
    if isinstance(node, list):
        return any(map(_adds_losses, node))
    if not isinstance(node, dict):
        return False
    if is_space(node) or node.get("class_name") == "ActivityRegularization":
        return True
    if "class_name" in node and is_custom(node):
        return True
    return any(
        (name.endswith("_regularizer") and part is not None) or _adds_losses(part)
        for name, part in node.items()
        if isinstance(name, str)
    )
