"""Dropout rates and regularization factors of a traced model, as variables.

A program that is traced with them serves all jobs that differ only in these numbers, and computes
what it would compute with constants, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec import tunable_scalars
from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines.traced.fresh_state import assign
from fitfleet.worker.models.build import build

# About 0.3, exact in float32, and unlikely as any other number of a layer.
_FIRST_SENTINEL = 2**18 + 54_321
_NAMES = ("rate", "dropout", "recurrent_dropout", "l1", "l2")


class TunableScalar(float):
    """A number for Python, a variable for TensorFlow."""

    variable: Any

    def __new__(cls, value: float, variable: Any) -> TunableScalar:
        """`value` is the current value of the variable."""
        number = super().__new__(cls, value)
        number.variable = variable
        return number

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """Converted like a Python float: to float32 unless a dtype is given."""
        # `cast` alone would return the variable itself if it has the dtype.
        return tf.cast(tf.convert_to_tensor(self.variable.value), dtype or tf.float32)


class TunableScalars:
    """The tunable scalars of one model that is built from a spec, in the order of its config."""

    def __init__(self, model: Any, sentinels: Sequence[float]) -> None:
        """`sentinels` are the distinct numbers that the model was built with."""
        self.variables = [
            keras.Variable(sentinel, dtype="float64", trainable=False, name="factor")
            for sentinel in sentinels
        ]
        self._places = [
            (owner, name, sentinels.index(float(value)))
            for owner in _owners(model)
            for name, value in _numbers(owner)
            if float(value) in sentinels
        ]
        self.is_complete = {index for *_, index in self._places} == set(range(len(sentinels)))

    def set(self, spec: JobSpec) -> None:
        """Assign the tunable scalars of a spec."""
        values = self.values(spec)
        for variable, value in zip(self.variables, values, strict=True):
            assign(variable, value)
        for owner, name, index in self._places:
            setattr(owner, name, TunableScalar(values[index], self.variables[index]))

    def values(self, spec: JobSpec) -> list[float]:
        """The tunable scalars of a spec, one for each variable."""
        return tunable_scalars.separated(spec)[1]


def variable_build(spec: JobSpec, settings: Settings) -> tuple[Any, TunableScalars]:
    """A compiled model whose tunable scalars are variables, and these, with the values of `spec`.

    It is built with sentinel values in place of them, by which they are located in Keras's objects.
    """
    _, values = tunable_scalars.separated(spec)
    sentinels = [(_FIRST_SENTINEL + index) * 2.0**-20 for index in range(len(values))]
    config = tunable_scalars.fill(spec.model.config, sentinels) if sentinels else spec.model.config
    with_sentinels = spec.model_copy(
        update={"model": spec.model.model_copy(update={"config": config})}
    )
    model = build(with_sentinels, settings)
    scalars = TunableScalars(model, sentinels)
    scalars.set(spec)
    return model, scalars


@contextmanager
def tracing() -> Iterator[None]:
    """A context in which Keras's dropout reads its rate from the variable of a TunableScalar."""
    from fitfleet.worker.keras_private import backend_random as random

    keras_dropout = random.dropout

    def dropout(inputs: Any, rate: Any, noise_shape: Any = None, seed: Any = None) -> Any:
        if not isinstance(rate, TunableScalar):
            return keras_dropout(inputs, rate, noise_shape=noise_shape, seed=seed)
        # TensorFlow's arithmetic for a constant rate; that for a tensor rounds otherwise.
        seed = random._cast_seed(random.draw_seed(seed))
        shape = random._get_concrete_noise_shape(inputs, noise_shape)
        scale = 1.0 / (1.0 - rate.variable.value)
        scaled = inputs * tf.cast(scale, inputs.dtype)
        drawn = tf.random.stateless_uniform(shape, seed, dtype=inputs.dtype)
        is_kept = drawn >= tf.cast(rate.variable.value, inputs.dtype)
        return tf.where(is_kept, scaled, tf.zeros((), inputs.dtype))

    random.dropout = dropout
    try:
        yield
    finally:
        random.dropout = keras_dropout


def _owners(model: Any) -> Iterator[Any]:
    """All objects that may have tunable scalars: layers, cells, and their regularizers."""
    seen: set[int] = set()
    for layer in model._flatten_layers():
        yield layer
        for value in vars(layer).values():
            if isinstance(value, keras.Regularizer) and id(value) not in seen:
                seen.add(id(value))
                yield value


def _numbers(owner: Any) -> Iterator[tuple[str, Any]]:
    for name in _NAMES:
        value = vars(owner).get(name)
        if isinstance(value, float) or (tf.is_tensor(value) and value.shape.rank == 0):
            yield name, value
