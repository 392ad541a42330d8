"""The start of a job on a model that is traced already: the value of each variable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines.traced.initial_weights import InitialWeights
from fitfleet.worker.models.build import architecture
from fitfleet.worker.state.build_variables import rate_variable


class FreshState:
    """The values of a model's variables after a build for any job of its architecture.

    Those are the weights of the job's seed, an optimizer before its first step, and the job's
    learning rate. `model` was just built for `spec`.
    """

    def __init__(self, model: Any, spec: JobSpec, settings: Settings) -> None:
        self._model = model
        self._rate = rate_variable(model.optimizer)
        # One after the other, so that not all values are in memory at once. None stands for zeros,
        # of which a large model's optimizer has hundreds of megabytes.
        values = ((v, v.numpy()) for v in optimizer_variables(model.optimizer))
        self._optimizer = [(v, value if value.any() else None) for v, value in values]
        self._initial = InitialWeights(
            lambda other_spec: architecture(other_spec, settings), spec, model
        )

    def weights(self, spec: JobSpec) -> list[Any]:
        """The initial values of the job's seed, in the order of `model.variables`."""
        return self._initial.values(spec)

    def optimizer(self, spec: JobSpec) -> Iterator[tuple[Any, Any]]:
        """(variable, value) for `optimizer_variables`, in their order."""
        rate = spec.optimizer.get("config", {}).get("learning_rate")
        for variable, value in self._optimizer:
            if variable is self._rate and isinstance(rate, int | float):
                yield variable, np.asarray(rate, variable.dtype)
            elif value is None:
                yield variable, np.zeros(variable.shape, variable.value.dtype.as_numpy_dtype)
            else:
                yield variable, value

    def assign(self, spec: JobSpec) -> None:
        """Assign these values to the model's variables."""
        for variable, value in zip(self._model.variables, self.weights(spec), strict=True):
            assign(variable, value)
        for variable, value in self.optimizer(spec):
            assign(variable, value)


def assign(variable: Any, value: Any) -> None:
    """Assign a value of the variable's shape and dtype to a Keras variable.

    Keras's `assign` takes several times as long, for checks that are not needed here. It is used
    for a variable that is distributed over several GPUs.
    """
    tensor = variable.value
    if isinstance(tensor, tf.Variable) and not isinstance(tensor, tf.distribute.DistributedValues):
        tensor.assign(value, read_value=False)
    else:
        variable.assign(value)


def optimizer_variables(optimizer: Any) -> list[Any]:
    """All variables of an optimizer, with those that `variables` leaves out (Nadam's)."""
    variables = list(optimizer.variables)
    trained = {id(v) for v in getattr(optimizer, "_trainable_variables", [])}
    seen = {id(v) for v in variables} | trained
    for value in vars(optimizer).values():
        if isinstance(value, keras.Variable) and id(value) not in seen:
            seen.add(id(value))
            variables.append(value)
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        variables += [v for v in optimizer_variables(inner) if id(v) not in seen]
    return variables
