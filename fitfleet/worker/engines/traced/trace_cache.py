"""Models whose programs are traced, kept for the next job of the same architecture.

Tracing takes most of the time of a small fit, and TensorFlow leaks memory of the graphs of each
model that is dropped. A cached model is set to the start of the next job (`FreshState`, dropout
rates, regularization factors and RNN states); it then computes what a new model computes, bit for
bit.
"""

from __future__ import annotations

import gc
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fitfleet.errors import FitfleetError
from fitfleet.settings import Settings
from fitfleet.spec import tunable_scalars
from fitfleet.spec.job import JobSpec
from fitfleet.worker.callbacks.user_callbacks import stops_on_nan
from fitfleet.worker.engines import proven_classes
from fitfleet.worker.engines.engine import CannotTrace
from fitfleet.worker.engines.programs.functions import Functions, Tracing
from fitfleet.worker.engines.programs.program_key import program_key
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.traced.feed import Feed
from fitfleet.worker.engines.traced.fresh_state import FreshState, optimizer_variables
from fitfleet.worker.engines.traced.program import EpochProgram
from fitfleet.worker.engines.traced.tunable_scalars import TunableScalars, variable_build
from fitfleet.worker.models.build import has_custom_classes
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.state.rnn_states import reset_rnn_states, rnn_states
from fitfleet.worker.state.weights_template import nbytes

# A traced model takes about 20 MB in addition to its variables.
_MAX_MODELS = 8
# Of the variables of cached models that are not in use, so that memory is left for large jobs.
_MAX_BYTES = 64 * 2**20


@dataclass
class Traced:
    """A compiled model with its program, and the values of its variables when a job starts."""

    model: Any
    program: EpochProgram
    fresh: FreshState
    scalars: TunableScalars
    is_fresh: bool = True

    def start(self, spec: JobSpec) -> None:
        """Set the model to the state of a new model of `spec`, compiled and untrained."""
        model = self.model
        model.stop_training = False
        model._initial_epoch = None
        if self.is_fresh:
            self.is_fresh = False
            return
        self.fresh.assign(spec)
        self.scalars.set(spec)
        reset_rnn_states(model)
        model.reset_metrics()


class TraceCache:
    """The traced models of a child; the least recently used are dropped first."""

    def __init__(
        self,
        settings: Settings,
        store: ProgramStore | None = None,
        tracing: Callable[[JobSpec, Feed, Feed | None], Tracing | None] | None = None,
    ) -> None:
        """`tracing` returns the lock of a program that is being traced."""
        self._settings, self._store, self._tracing = settings, store, tracing
        self._kept: OrderedDict[str, Traced] = OrderedDict()
        self._refusals: dict[str, str] = {}  # by key, so that none is tried twice

    def take(self, spec: JobSpec, training: Feed, validation: Feed | None) -> Traced:
        """A model at the start of `spec`, with a program for feeds of these signatures.

        Raises CannotTrace if TensorFlow cannot trace it.
        """
        if not is_reusable(spec):
            self._make_room()
            return self._trace(spec, training, validation)
        key = trace_key(spec, training, validation)
        if key in self._refusals:
            raise CannotTrace(self._refusals[key])
        traced = self._kept.pop(key, None)
        self._make_room()
        try:
            traced = traced or self._trace(spec, training, validation)
        except CannotTrace as refusal:
            self._refusals[key] = str(refusal)
            raise
        if traced.scalars.is_complete:
            self._kept[key] = traced
        while len(self._kept) > _MAX_MODELS:
            self._kept.popitem(last=False)
        traced.start(spec)
        return traced

    def has(self, spec: JobSpec, training: Feed, validation: Feed | None) -> bool:
        """Whether a model for this spec is cached."""
        return trace_key(spec, training, validation) in self._kept

    def drop(self, traced: Traced) -> None:
        """Remove a model, as an error may have left it in any state."""
        self._kept = OrderedDict((k, v) for k, v in self._kept.items() if v is not traced)

    def _make_room(self) -> None:
        """Drop the least recently used models until they have at most _MAX_BYTES."""
        before = len(self._kept)
        while sum(nbytes(traced.model) for traced in self._kept.values()) > _MAX_BYTES:
            self._kept.popitem(last=False)
        if len(self._kept) < before:
            gc.collect()  # a model and its program refer to each other

    def _trace(self, spec: JobSpec, training: Feed, validation: Feed | None) -> Traced:
        model, scalars = variable_build(spec, self._settings)
        try:
            # A stateful model takes only the batch size that it was built with.
            size = None if training.rows % spec.batch_size else spec.batch_size
            model._symbolic_build(data_batch=batch_symbols(training.data, size))
            program = EpochProgram(
                model,
                training,
                batch_sizes(spec),
                stops_on_nan=stops_on_nan(spec),
                functions=self._functions(spec, training, validation, model, scalars),
                loops=proven_classes.is_same_in_a_loop(spec),
            )
            program.trace(validation)
            fresh = FreshState(model, spec, self._settings)
        except (FitfleetError, MemoryError):
            raise
        except Exception as error:  # TensorFlow and Keras raise errors of many classes
            if type(error).__name__ == "ResourceExhaustedError":
                raise
            raise CannotTrace(explanation(error)) from error
        return Traced(model, program, fresh, scalars)

    def _functions(
        self,
        spec: JobSpec,
        training: Feed,
        validation: Feed | None,
        model: Any,
        scalars: TunableScalars,
    ) -> Functions:
        if not is_reusable(spec):
            return Functions()
        key = program_key("loop", trace_key(spec, training, validation), model)
        tracing = self._tracing(spec, training, validation) if self._tracing else None
        return Functions(self._store, key, all_variables(model, scalars), tracing)


def is_reusable(spec: JobSpec) -> bool:
    """Whether a model of this spec may serve another job.

    The Python code of a builder or a custom class may do anything while it is traced.
    """
    return spec.model.builder is None and not has_custom_classes(spec)


def trace_key(spec: JobSpec, training: Feed, validation: Feed | None) -> str:
    """The same for jobs that one traced model can train: all that its graphs depend on."""
    document = spec.model_dump(mode="json")
    for name in ("dataset", "seed", "epochs", "evaluators", "shuffle", "validation_split"):
        del document[name]
    del document["class_weight"]  # part of the feed
    document["callbacks"] = stops_on_nan(spec)
    config = document["optimizer"].get("config", {})
    if isinstance(config.get("learning_rate"), int | float):
        config["learning_rate"] = "any"
    document["model"]["config"], _ = tunable_scalars.separated(spec)
    sizes = batch_sizes(spec)
    feeds = [
        (feed.description, feed.rows % size == 0) if feed else None
        for feed, size in zip((training, validation), sizes, strict=True)
    ]
    return json.dumps([document, feeds], sort_keys=True)


def batch_sizes(spec: JobSpec) -> tuple[int, int]:
    """Rows of a batch in training and in validation, as in Keras's `fit`."""
    return spec.batch_size, spec.validation_batch_size or spec.batch_size


def all_variables(model: Any, scalars: TunableScalars) -> list[Any]:
    """The variables that a program of the model may use, in an order that the trace key implies."""
    optimizer = optimizer_variables(model.optimizer)
    variables = [*model.variables, *optimizer, *scalars.variables, *model.metrics_variables]
    return [*variables, *rnn_states(model)]


def batch_symbols(data: tuple[Any, ...], size: int | None = None) -> tuple[Any, ...]:
    """KerasTensors of a batch of `data`, with `size` rows, None for any."""
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
