"""Builds models without data or training: `python -m fitfleet.worker.models.build_check`.

Reads one JSON document a line, `{"key", "model", "input_shape"}`, and answers each with a line
`{"key", "parameters", "elements", "outputs"}`, or `{"key", "error"}` when Keras refuses. It is a
process of its own so that a planner needs no TensorFlow, and so that a model that exhausts the
memory takes only this process with it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from fitfleet.worker.recording.error_text import explanation

# What an RNN keeps for each time step and unit until the backward pass: gates and states.
_KEPT_A_STEP = {"LSTM": 6, "GRU": 5, "SimpleRNN": 2, "ConvLSTM2D": 6}


def build(document: dict[str, Any]) -> dict[str, Any]:
    """The answer to one line."""
    import keras

    try:
        model = keras.saving.deserialize_keras_object(document["model"])
        if not model.built:
            model.build((None, *(document.get("input_shape") or ())))
        outputs = [list(tensor.shape[1:]) for tensor in model.outputs]
    except Exception as error:  # Keras raises many kinds; each means that it can't be built
        return {"key": document["key"], "error": f"{type(error).__name__}: {explanation(error)}"}
    return {
        "key": document["key"],
        "parameters": int(model.count_params()),
        "elements": sum(_elements(layer) for layer in _layers(model)),
        "outputs": outputs,
    }


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield layer


def _elements(layer: Any) -> int:
    """Numbers that the layer keeps for one row of a batch until the backward pass."""
    try:
        shapes = [tensor.shape for tensor in _flat(layer.output)]
        steps = next((t.shape[1] for t in _flat(layer.input) if len(t.shape) > 2), None)
    except (AttributeError, ValueError):
        return 0
    inner = getattr(layer, "forward_layer", layer)
    count = sum(_size(shape[1:]) for shape in shapes)
    units = getattr(inner, "units", getattr(inner, "filters", None))
    kept = _KEPT_A_STEP.get(type(inner).__name__)
    if kept and units and steps:
        count += kept * int(steps) * int(units) * (2 if inner is not layer else 1)
    return count


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [t for part in value for t in _flat(part)] if isinstance(value, list | tuple) else [value]
    )


def _size(shape: Any) -> int:
    count = 1
    for length in shape:
        count *= int(length or 1)
    return count


def main() -> None:
    """Answer line by line until the input ends."""
    # Keras greets on stdout, which belongs to the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for line in sys.stdin:
        answers.write(json.dumps(build(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
