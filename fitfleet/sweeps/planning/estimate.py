"""What a fit will cost: memory from the model and the batch, seconds from runs of its like."""

from __future__ import annotations

from typing import Any

from fitfleet.spec.job import JobSpec

# Numbers that an optimizer keeps beside each weight.
_SLOTS = {
    "SGD": 0,
    "RMSprop": 1,
    "Adagrad": 1,
    "Lion": 1,
    "Muon": 1,
    "Adafactor": 1,
}
_SLOTS_OF_OTHERS = 2  # Adam and its kin


def memory_bytes(spec: JobSpec, parameters: int, elements: int | None) -> int | None:
    """Memory of the fit itself: weights, gradients, optimizer, activations of one batch.

    Without TensorFlow's own half gigabyte and without the data. `elements` are the numbers kept
    for one row until the backward pass; None when they are not known: then there is no estimate.
    """
    if elements is None:
        return None
    width = 2 if spec.dtype_policy and "16" in spec.dtype_policy else 4
    weights = 4 * parameters * (2 + _slots(spec.optimizer))
    # Each activation has a gradient beside it while the backward pass is there.
    return int(weights + 2 * width * spec.batch_size * elements)


def _slots(optimizer: dict[str, Any]) -> int:
    config = optimizer.get("config") or {}
    slots = _SLOTS.get(str(optimizer.get("class_name")), _SLOTS_OF_OTHERS)
    return slots + bool(config.get("momentum")) + bool(config.get("centered"))
