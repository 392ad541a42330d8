"""Models whose programs are traced, kept for the next job of the same architecture.

Tracing costs most of a small fit, and every model that is dropped leaks what TensorFlow keeps of
its graphs. A kept model is put back to the start of the next job: its initial weights, optimizer
variables, learning rate, dropout rates, regularization factors and RNN states; what it then
computes is what a fresh model computes, bit for bit.
"""

from __future__ import annotations

import gc
import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fitfleet.settings import Settings
from fitfleet.spec import factors
from fitfleet.spec.job import JobSpec
from fitfleet.worker.build import architecture, has_custom_classes
from fitfleet.worker.callbacks import forget_states
from fitfleet.worker.engines.feed import Feed
from fitfleet.worker.engines.initial import InitialWeights
from fitfleet.worker.engines.program import EpochProgram
from fitfleet.worker.engines.tunable import Factors, variable_build
from fitfleet.worker.state.template import nbytes

# A traced model of a few thousand weights takes some 20 MB, whatever its size.
_KEPT_MODELS = 8
# Of variables that may be held by models that are not in use: a large job has its memory to itself.
_KEPT_BYTES = 64 * 2**20


@dataclass
class Traced:
    """A compiled model with its program, and what its optimizer looked like when it was new."""

    model: Any
    program: EpochProgram
    initial: InitialWeights
    factors: Factors
    # None stands for zeros, of which a large model's optimizer has hundreds of megabytes.
    optimizer_start: list[tuple[Any, np.ndarray | None]] = field(default_factory=list)
    is_fresh: bool = True

    def start(self, spec: JobSpec) -> None:
        """Put the model into the state of a fresh build of `spec`, compiled and untrained."""
        import keras

        model = self.model
        model.stop_training = False
        model._initial_epoch = None
        if self.is_fresh:
            self.is_fresh = False
            return
        for variable, value in zip(model.variables, self.initial.values(spec), strict=True):
            variable.assign(value)
        for variable, value in self.optimizer_start:
            if value is None:
                value = keras.ops.zeros(variable.shape, variable.dtype)
            variable.assign(value)
        rate = spec.optimizer.get("config", {}).get("learning_rate")
        if isinstance(rate, int | float):
            model.optimizer.learning_rate = rate
        self.factors.set(spec)
        forget_states(model)
        model.reset_metrics()


class TraceCache:
    """The kept models of a child, the least recently used dropped first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: OrderedDict[str, Traced] = OrderedDict()

    def take(self, spec: JobSpec, training: Feed, validation: Feed | None) -> Traced:
        """A model at the start of `spec`, with a program for feeds like these."""
        if not is_reusable(spec):
            self._make_room()
            return self._trace(spec, training, validation)
        key = trace_key(spec, training, validation)
        traced = self._kept.pop(key, None)
        self._make_room()
        traced = traced or self._trace(spec, training, validation)
        if traced.factors.is_complete:
            self._kept[key] = traced
        while len(self._kept) > _KEPT_MODELS:
            self._kept.popitem(last=False)
        traced.start(spec)
        return traced

    def drop(self, traced: Traced) -> None:
        """Keep a model no longer, because an error may have left it in any state."""
        self._kept = OrderedDict((k, v) for k, v in self._kept.items() if v is not traced)

    def _make_room(self) -> None:
        """Drop models that are not in use, while they hold more than they may."""
        before = len(self._kept)
        while sum(nbytes(one.model) for one in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        if len(self._kept) < before:
            gc.collect()  # a model and its program refer to each other

    def _trace(self, spec: JobSpec, training: Feed, validation: Feed | None) -> Traced:
        model, own_factors = variable_build(spec, self._settings)
        # A stateful model has its batch size built in and takes no other.
        size = None if training.rows % spec.batch_size else spec.batch_size
        model._symbolic_build(data_batch=batch_symbols(training.data, size))
        program = EpochProgram(
            model,
            training,
            validation,
            (spec.batch_size, spec.validation_batch_size or spec.batch_size),
            stops_on_nan=any(c["class_name"] == "TerminateOnNaN" for c in spec.callbacks),
        )
        # One after the other: a large optimizer's values are not all held at once.
        values = ((v, v.numpy()) for v in optimizer_variables(model.optimizer))
        start = [(v, value if value.any() else None) for v, value in values]
        initial = InitialWeights(lambda one: architecture(one, self._settings), spec, model)
        return Traced(model, program, initial, own_factors, start)


def is_reusable(spec: JobSpec) -> bool:
    """Whether a model of this spec may serve another job.

    The Python code of a builder or a custom class may do anything while it is traced.
    """
    return spec.model.builder is None and not has_custom_classes(spec)


def trace_key(spec: JobSpec, training: Feed, validation: Feed | None) -> str:
    """The same for jobs that one traced model can serve: all that is baked into its graphs."""
    document = spec.model_dump(mode="json")
    for name in ("dataset", "seed", "epochs", "evaluators", "shuffle", "validation_split"):
        del document[name]
    del document["class_weight"]  # part of the feed
    document["callbacks"] = any(c["class_name"] == "TerminateOnNaN" for c in spec.callbacks)
    config = document["optimizer"].get("config", {})
    if isinstance(config.get("learning_rate"), int | float):
        config["learning_rate"] = "any"
    document["model"]["config"], _ = factors.separated(spec)
    sizes = (spec.batch_size, spec.validation_batch_size or spec.batch_size)
    feeds = [
        (feed.description, feed.rows % size == 0) if feed else None
        for feed, size in zip((training, validation), sizes, strict=True)
    ]
    return json.dumps([document, feeds], sort_keys=True)


def optimizer_variables(optimizer: Any) -> list[Any]:
    """All variables that an optimizer owns, with those that `variables` leaves out (Nadam's)."""
    import keras

    own = list(optimizer.variables)
    trained = {id(v) for v in getattr(optimizer, "_trainable_variables", [])}
    seen = {id(v) for v in own} | trained
    for value in vars(optimizer).values():
        if isinstance(value, keras.Variable) and id(value) not in seen:
            seen.add(id(value))
            own.append(value)
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        own += [v for v in optimizer_variables(inner) if id(v) not in seen]
    return own


def batch_symbols(data: tuple[Any, ...], size: int | None = None) -> tuple[Any, ...]:
    """KerasTensors of a batch like these, of that size or with it left open."""
    import keras
    import tensorflow as tf

    return tuple(
        tf.nest.map_structure(
            lambda t: keras.KerasTensor(
                (size, *t.shape[1:]), keras.backend.standardize_dtype(t.dtype)
            ),
            data,
        )
    )
