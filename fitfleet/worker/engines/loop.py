"""Whole epochs in one traced program, job after job: bit-equal to Keras's own `fit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from fitfleet.errors import FitfleetError
from fitfleet.settings import Settings
from fitfleet.spec.reference import is_custom
from fitfleet.worker.build import precision
from fitfleet.worker.callbacks import EpochEnd, EpochStart, ModelState, user_callbacks
from fitfleet.worker.engines import feed
from fitfleet.worker.engines.engine import Hooks, Interrupted, Member
from fitfleet.worker.engines.feed import Feed, Feeds
from fitfleet.worker.engines.keras_fit import finish_callbacks
from fitfleet.worker.engines.program import Logs
from fitfleet.worker.engines.speeds import Speeds
from fitfleet.worker.engines.trace_cache import TraceCache, Traced, trace_key
from fitfleet.worker.order import order
from fitfleet.worker.state import checkpoint


class LoopFit:
    """One member after the other, by a program that is traced once for all of them."""

    name = "loop"

    def __init__(
        self, settings: Settings, speeds: Speeds | None = None, feeds: Feeds | None = None
    ) -> None:
        self._settings = settings
        self._cache = TraceCache(settings)
        self._feeds = feeds or Feeds()
        self._speeds = speeds

    def fit(self, members: Sequence[Member], hooks: Hooks) -> None:
        """Trains every member that is not done to its end."""
        for member in members:
            with hooks.running(member), precision(member.spec.dtype_policy):
                hooks.batch_end(member)  # it may have been stopped while it waited
                self._fit(member, hooks)

    def _fit(self, member: Member, hooks: Hooks) -> None:
        training, validation = self._feeds.of(member)
        traced = self._cache.take(member.spec, training, validation)
        try:
            model = traced.model
            member.callbacks = user_callbacks(member.spec, self._settings)
            if member.snapshot is not None:
                checkpoint.restore(model, member.snapshot)
            if member.is_trained:
                finish_callbacks(model, member)
            else:
                seconds = Fit(member, hooks, traced, training, validation).run()
                if self._speeds is not None and seconds is not None:
                    key = trace_key(member.spec, training, validation)
                    self._speeds.record(key, self.name, seconds)
            hooks.train_end(member, ModelState(model))
        except (Interrupted, FitfleetError):
            raise  # `start` puts back whatever an unfinished fit has left
        except BaseException:
            self._cache.drop(traced)  # what an error inside TensorFlow leaves is not known
            raise


class Fit:
    """The epochs of one member, in the order of calls that Keras's `fit` makes."""

    def __init__(
        self,
        member: Member,
        hooks: Hooks,
        traced: Traced,
        training: Feed,
        validation: Feed | None,
    ) -> None:
        self._member, self._hooks, self._traced = member, hooks, traced
        self._training, self._validation = training, validation

    def run(self) -> float | None:
        """Train from the member's first epoch to its last, or until a callback stops it.

        Returns the seconds of its quickest epoch, None if there was no whole one without tracing.
        """
        member, model = self._member, self._traced.model
        callbacks = keras.callbacks.CallbackList(
            [EpochStart(member, self._hooks), *member.callbacks, EpochEnd(member, self._hooks)],
            add_history=True,
            model=model,
            epochs=member.spec.epochs,
            steps=-(-self._training.rows // member.spec.batch_size),
        )
        logs: Logs = {}
        seconds: list[float] = []
        model.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(member.first_epoch, member.spec.epochs):
            callbacks.on_epoch_begin(epoch)
            began = time.perf_counter()
            logs = self._train(epoch) | self._validate(callbacks)
            seconds.append(time.perf_counter() - began)
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs)
        return min(seconds[1:], default=None)

    def _train(self, epoch: int) -> Logs:
        member = self._member
        rows = self._training.rows
        numbers = (
            order(member.spec.seed, epoch, rows)
            if member.spec.shuffle
            else tf.range(rows, dtype=tf.int64)
        )
        done, loss, logs = self._traced.program.train(self._training, numbers, self._between)
        for callback in member.callbacks:
            if isinstance(callback, keras.callbacks.TerminateOnNaN):
                callback.on_batch_end(done - 1, {"loss": loss})
        return logs

    def _validate(self, callbacks: Any) -> Logs:
        if self._validation is None:
            return {}
        callbacks.on_test_begin()
        logs = self._traced.program.validate(self._validation, self._between)
        callbacks.on_test_end(logs)
        return {f"val_{name}": value for name, value in logs.items()}

    def _between(self) -> None:
        self._hooks.batch_end(self._member)


def unsupported(member: Member, settings: Settings) -> str | None:
    """Why this way cannot train a member as Keras's `fit` would, or None when it can."""
    spec = member.spec
    if member.arrays.has_streams:
        return "the dataset is streamed from its file"
    if feed.nbytes(member.arrays) > settings.memory_bytes:
        return "the windows of the dataset are too large to be made whole"
    if spec.jit_compile:
        return f"jit_compile={spec.jit_compile!r}"
    if spec.steps_per_execution > 1:
        return f"steps_per_execution={spec.steps_per_execution}"
    if member.claim.memory_step:
        return "the job ran out of memory before"
    if any(map(is_custom, spec.callbacks)):
        return "a callback of the user's own may act at any batch"
    if spec.model.builder is not None:
        return "the model is built by a function on the worker"
    return None
