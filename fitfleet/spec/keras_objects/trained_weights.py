"""Whether the weights of a Keras object are still those of its initialisers.

Keras is not imported here: if there is an object of Keras, its caller has imported it. A random
initialiser keeps the seed that it drew when it was created, so its value can be computed again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

# Keras does not keep the initialisers of these, so their initial values are unknown. They are
# trained together with others.
_UNKNOWN = {("AdditiveAttention", "scale"), ("SpectralNormalization", "vector_u")}
# Weights that are computed from an argument, or reset at the start of a fit.
_DERIVED = {("STFTSpectrogram", "real_kernel"), ("STFTSpectrogram", "imag_kernel")}
_STATES = ("rnn_state", "seed_generator_state")


def changed_weight(model: Any) -> str | None:
    """The first weight that differs from its initial value, as `layer/weight`; else None.

    A weight of unknown initialiser counts as changed, unless it is all 0 or all 1.
    """
    if isinstance(model, type) or not hasattr(model, "_flatten_layers"):
        return None
    if _steps(model):
        return f"{_first_name(model)} (the model was fitted)"
    changed: dict[int, str] = {}
    initial: set[int] = set()
    for layer in model._flatten_layers():
        for variable in _own_variables(layer):
            if _is_initial(layer, variable):
                initial.add(id(variable))
            else:
                changed.setdefault(id(variable), f"{layer.name}/{variable.name}")
    # A wrapper may list a weight of the layer inside, whose initialiser only that layer has.
    return next((place for key, place in changed.items() if key not in initial), None)


def weights_without_initializer(model: Any) -> str | None:
    """The first weight without an initialiser, if no other weight was changed.

    Such weights count as changed, but may have the values that the layer drew.
    """
    if changed_weight(model) is None or _steps(model):
        return None
    first = None
    for layer in model._flatten_layers():
        for variable in _own_variables(layer):
            if _is_initial(layer, variable):
                continue
            is_adapted = type(layer).__module__.startswith("keras.")  # such as Normalization
            if is_adapted or _initializers(layer, variable.name):
                return None  # this one is known to be changed
            first = first or f"{layer.name}/{variable.name}"
    return first


def has_optimizer_state(model: Any) -> bool:
    """Whether the object is compiled, and its optimizer has made a step."""
    return _steps(model) > 0


def _steps(model: Any) -> int:
    import numpy as np

    optimizer = getattr(model, "optimizer", None)
    iterations = getattr(optimizer, "iterations", None)
    return int(np.asarray(iterations)) if iterations is not None else 0


def _first_name(model: Any) -> str:
    paths = (f"{v.path}" for v in model.trainable_variables)
    return next(paths, str(model.name))


def _own_variables(layer: Any) -> Iterator[Any]:
    for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
        if variable.name not in _STATES:
            yield variable


def _is_initial(layer: Any, variable: Any) -> bool:
    import numpy as np

    names = {(kind.__name__, variable.name) for kind in type(layer).__mro__}
    if names & (_UNKNOWN | _DERIVED):
        return True
    value = np.asarray(variable.numpy())
    candidates = _initializers(layer, variable.name)
    if any(map(holds_matrix, candidates)):
        return False  # a config cannot contain it
    if not candidates:
        # In Keras all weights without an initialiser start as zeros or ones.
        return bool((value == 0).all() or (value == 1).all())
    return any(
        np.array_equal(first, value, equal_nan=True)
        for initializer in candidates
        for first in _first_values(layer, variable, initializer)
    )


def holds_matrix(initializer: Any) -> bool:
    """Whether it is `Constant` of an array: weights that the user chose."""
    value = getattr(initializer, "value", 0)
    is_many = isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0
    return type(initializer).__name__ == "Constant" and is_many


def _initializers(layer: Any, weight: str) -> list[Any]:
    """The initialisers of a layer for a weight: `recurrent_initializer` for `recurrent_kernel`.

    If none has its name, all that belong to no other weight.
    """
    initializers = {
        name.strip("_").removesuffix("_initializer"): value
        for name, value in vars(layer).items()
        if name.endswith("_initializer") and callable(value)
    }
    named = [stem for stem in initializers if weight.startswith(stem)]
    if named:
        return [initializers[max(named, key=len)]]
    others = {v.name for v in _own_variables(layer)}
    return [value for stem, value in initializers.items() if stem not in others]


def _first_values(layer: Any, variable: Any, initializer: Any) -> Iterator[Any]:
    """The possible values of the initialiser; none if a draw would change its state."""
    import numpy as np

    shape, dtype = tuple(variable.shape), variable.dtype
    if not isinstance(getattr(initializer, "seed", 0), int):
        return  # a SeedGenerator, whose state a draw would change
    if variable.name == "bias" and getattr(layer, "unit_forget_bias", False):
        yield _forget_bias(initializer, shape[0] // 4)
        return
    yield np.asarray(initializer(shape, dtype=dtype))
    for variant in _by_axes(initializer, len(shape)):
        yield np.asarray(variant(shape, dtype=dtype))


def _by_axes(initializer: Any, rank: int) -> Iterator[Any]:
    """The values for EinsumDense, which passes the axes to a copy of its initialiser.

    The seed is the same; the scale of the numbers depends on the axes.
    """
    if not hasattr(initializer, "input_axes") or rank < 3:
        return
    for count in range(1, rank):
        variant = copy.copy(initializer)
        variant.input_axes, variant.output_axes = tuple(range(count)), tuple(range(count, rank))
        yield variant


def _forget_bias(initializer: Any, units: int) -> Any:
    """The bias of an LSTM, whose second quarter is 1."""
    import numpy as np

    first, rest = np.asarray(initializer((units,))), np.asarray(initializer((2 * units,)))
    return np.concatenate([first, np.ones_like(first), rest])


def without_matrices(value: Any) -> Any:
    """The document with zeros for each `Constant` of an array, whose values are weights."""
    if isinstance(value, list):
        return [without_matrices(part) for part in value]
    if not isinstance(value, dict):
        return value
    constant = (
        value.get("config", {}).get("value", 0) if value.get("class_name") == "Constant" else 0
    )
    if not isinstance(constant, int | float):
        return {"module": "keras.initializers", "class_name": "Zeros", "config": {}}
    return {key: without_matrices(part) for key, part in value.items()}
