"""Widths of a model that are None in a program's signature, so that one program serves all of them.

A width is the size of a hidden layer: `units`, `filters`, or the `output_dim` of an embedding. That
of the last such layer stays fixed, as it is the size of the outputs. Only classes that a test has
compared with the program of each width, bit for bit, are listed here.
"""

from __future__ import annotations

import copy
from typing import Any

from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines.speeds import Keys
from fitfleet.worker.engines.traced.feed import Feed
from fitfleet.worker.engines.traced.fresh_state import optimizer_variables
from fitfleet.worker.engines.traced.trace_cache import batch_symbols, trace_key
from fitfleet.worker.engines.traced.tunable_scalars import variable_build

WIDTHS = {
    "Conv1D": "filters",
    "Conv2D": "filters",
    "Dense": "units",
    "Embedding": "output_dim",
    "GRU": "units",
    "LSTM": "units",
    "SimpleRNN": "units",
}
# Layers whose computation does not depend on the size of the last axis.
OTHERS = frozenset(
    """
    Activation AveragePooling1D BatchNormalization Dropout Flatten GaussianNoise
    GlobalAveragePooling1D InputLayer MaxPooling1D MaxPooling2D
    """.split()  # noqa: SIM905
)
# Without those that compute with the shape of a variable: Adafactor, Muon.
OPTIMIZERS = frozenset(
    "Adadelta Adagrad Adam AdamW Adamax Ftrl Lamb Lion Nadam RMSprop SGD".split()  # noqa: SIM905
)


def family_key(spec: JobSpec, training: Feed, validation: Feed | None) -> str | None:
    """The same for jobs that differ only in widths and in values that a program has as variables.

    None for a job whose program needs fixed widths.
    """
    places = _places(spec)
    if not places:
        return None
    without_widths = _with_widths(spec, dict.fromkeys(places))
    return f"any width {trace_key(without_widths, training, validation)}"


def architecture_keys(spec: JobSpec, training: Feed, validation: Feed | None) -> Keys:
    """(trace key, family key), under which times of the architecture are recorded."""
    return trace_key(spec, training, validation), family_key(spec, training, validation)


def open_shapes(spec: JobSpec, settings: Settings, training: Feed) -> list[tuple[int | None, ...]]:
    """The shapes of all variables of a fused program, None for dimensions that depend on a width.

    Those differ in a model whose widths are larger by one. Raises what Keras raises for such a
    model.
    """
    wider = {place: width + 1 for place, width in _places(spec).items()}
    pairs = zip(
        _shapes(spec, settings, training),
        _shapes(_with_widths(spec, wider), settings, training),
        strict=True,
    )
    return [
        tuple(size if size == other else None for size, other in zip(shape, others, strict=True))
        for shape, others in pairs
    ]


def _shapes(spec: JobSpec, settings: Settings, training: Feed) -> list[tuple[int, ...]]:
    model, scalars = variable_build(spec, settings)
    model._symbolic_build(data_batch=batch_symbols(training.data))
    variables = [*model.variables, *optimizer_variables(model.optimizer)]
    return [tuple(v.shape) for v in [*variables, *scalars.variables, *model.metrics_variables]]


def _places(spec: JobSpec) -> dict[int, int]:
    """The widths that may be open, by the index of the layer."""
    model = spec.model.config or {}
    is_chain = model.get("class_name") == "Sequential"
    if not is_chain or spec.initial_weights is not None:
        return {}
    if spec.optimizer.get("class_name") not in OPTIMIZERS:
        return {}
    layers = [(layer["class_name"], layer["config"]) for layer in model["config"]["layers"]]
    if any(name not in WIDTHS and name not in OTHERS for name, _ in layers):
        return {}
    if any(config.get("lora_rank") or config.get("axis", -1) != -1 for _, config in layers):
        return {}
    *hidden, _ = [number for number, (name, _) in enumerate(layers) if name in WIDTHS] or [-1]
    widths = {number: layers[number][1][WIDTHS[layers[number][0]]] for number in hidden}
    # Keras and TensorFlow may broadcast or drop a size of 1.
    return widths if all(isinstance(w, int) and w > 1 for w in widths.values()) else {}


def _with_widths(spec: JobSpec, widths: dict[int, Any]) -> JobSpec:
    config = copy.deepcopy(spec.model.config)
    assert config is not None
    for number, width in widths.items():
        layer = config["config"]["layers"][number]
        layer["config"][WIDTHS[layer["class_name"]]] = width
    return spec.model_copy(update={"model": spec.model.model_copy(update={"config": config})})
