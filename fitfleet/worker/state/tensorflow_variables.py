"""TensorFlow's own variables in a user's layers and models, which Keras does not save.

A step counted in a `tf.Variable`, or a `tf.random.Generator`, is part of the state of a fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def tensorflow_variables(model: Any) -> list[Any]:
    """Those that hold numbers, in the order of layers and attributes."""
    variables = {
        id(variable): variable
        for layer in model._flatten_layers()
        for name, value in vars(layer).items()
        for variable in _in(value, is_deep=not name.startswith("_"))
    }
    return [variable for variable in variables.values() if _is_numeric(variable)]


def _in(value: Any, *, is_deep: bool) -> Iterator[Any]:
    import tensorflow as tf

    if isinstance(value, tf.Variable):
        yield value
    elif isinstance(value, tf.random.Generator):
        yield value.state
    elif is_deep and isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _in(part, is_deep=False)


def _is_numeric(variable: Any) -> bool:
    import numpy as np

    return np.dtype(variable.dtype.as_numpy_dtype).kind in "fiubc"


def write(model: Any, group: Any) -> None:
    """Put their values into a group of an open HDF5 file."""
    for index, variable in enumerate(tensorflow_variables(model)):
        group.create_dataset(f"tensorflow/{index}", data=variable.numpy())


def restore(model: Any, group: Any) -> None:
    """Give them the values in a group; those of a file without any stay as they are."""
    stored = group.get("tensorflow")
    variables = tensorflow_variables(model) if stored is not None else []
    for index, variable in enumerate(variables):
        if str(index) in stored and stored[str(index)].shape == variable.shape:
            variable.assign(stored[str(index)][()])
