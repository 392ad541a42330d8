"""Dropout rates and regularization factors of a traced model, as variables.

A program that is traced with them serves every job that differs in these numbers only, and
computes what it would compute with constants, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec import factors
from fitfleet.spec.job import JobSpec
from fitfleet.worker.build import build

# About 0.3, exact in float32, and not a rate that anybody gives a layer of another kind.
_FIRST_MARK = 2**18 + 54_321
_NAMES = ("rate", "dropout", "recurrent_dropout", "l1", "l2")


class Factor(float):
    """A number, for Python; a variable, for TensorFlow."""

    variable: Any

    def __new__(cls, value: float, variable: Any) -> Factor:
        """The number is the variable's value at this moment."""
        made = super().__new__(cls, value)
        made.variable = variable
        return made

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """As a Python float is converted: to float32, unless another dtype is asked for."""
        # `cast` alone would give back the variable itself where the dtype is right.
        return tf.cast(tf.convert_to_tensor(self.variable.value), dtype or tf.float32)


class Factors:
    """The factors of one model that is built from a spec, in the order of its config."""

    def __init__(self, model: Any, marks: Sequence[float]) -> None:
        """`marks` are the numbers that the model was built with, all different."""
        self.variables = [
            keras.Variable(mark, dtype="float64", trainable=False, name="factor") for mark in marks
        ]
        self._places = [
            (owner, name, marks.index(float(value)))
            for owner in _owners(model)
            for name, value in _numbers(owner)
            if float(value) in marks
        ]
        self.is_complete = {index for *_, index in self._places} == set(range(len(marks)))

    def set(self, spec: JobSpec) -> None:
        """Take the factors of a spec."""
        values = self.values(spec)
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        for owner, name, index in self._places:
            setattr(owner, name, Factor(values[index], self.variables[index]))

    def values(self, spec: JobSpec) -> list[float]:
        """The factors of a spec, one for each variable."""
        return factors.separated(spec)[1]


def variable_build(spec: JobSpec, settings: Settings) -> tuple[Any, Factors]:
    """A compiled model whose factors are variables, and these, set as `spec` says.

    It is built with marks in place of the factors, by which they are found in Keras's objects.
    """
    _, values = factors.separated(spec)
    marks = [(_FIRST_MARK + index) * 2.0**-20 for index in range(len(values))]
    config = factors.fill(spec.model.config, marks) if marks else spec.model.config
    marked = spec.model_copy(update={"model": spec.model.model_copy(update={"config": config})})
    model = build(marked, settings)
    found = Factors(model, marks)
    found.set(spec)
    return model, found


@contextmanager
def tracing() -> Iterator[None]:
    """Within, Keras's dropout takes its rate from a Factor's variable."""
    from fitfleet.worker.keras_private import backend_random as random

    own = random.dropout

    def dropout(inputs: Any, rate: Any, noise_shape: Any = None, seed: Any = None) -> Any:
        if not isinstance(rate, Factor):
            return own(inputs, rate, noise_shape=noise_shape, seed=seed)
        # TensorFlow's sums for a constant rate. For a tensor it has others, which round otherwise.
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
        random.dropout = own


def _owners(model: Any) -> Iterator[Any]:
    """All objects of a model that may have factors: layers and cells, and their regularizers."""
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
