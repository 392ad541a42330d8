"""Which examples there are, and what a Keras script would make of their jobs."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import keras

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

NAMES = [
    path.stem
    for path in sorted(EXAMPLES.glob("*.py"))
    if "\ndef jobs(" in path.read_text(encoding="utf-8")
]


def compile_arguments(job: dict[str, Any]) -> dict[str, Any]:
    """What a Keras script would give to `compile` for this job."""

    def compiled_part(value: Any, get: Any) -> Any:
        if isinstance(value, list):
            return [compiled_part(part, get) for part in value]
        if not isinstance(value, dict) or "class_name" not in value:
            return value
        if "registered_name" not in value:
            return get(value)
        importlib.import_module(value["module"])
        return keras.saving.deserialize_keras_object(value)

    return {
        "optimizer": compiled_part(job["optimizer"], keras.optimizers.get),
        "loss": job.get("loss"),
        "loss_weights": job.get("loss_weights"),
        "metrics": compiled_part(job.get("metrics"), keras.metrics.get),
    }
