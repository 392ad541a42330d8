"""Whole epochs in one traced program, job after job: bit-equal to Keras's own `fit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec.reference import is_custom
from fitfleet.worker.engines import feed, proven
from fitfleet.worker.engines.engine import Engine, Logs, OnProgress, Trained
from fitfleet.worker.engines.feed import Feeds
from fitfleet.worker.engines.single import SingleSession
from fitfleet.worker.engines.speeds import EpochTimer, Speeds
from fitfleet.worker.engines.trace_cache import TraceCache, Traced, trace_key
from fitfleet.worker.job import PreparedJob
from fitfleet.worker.order import order
from fitfleet.worker.state import checkpoint


class LoopFit:
    """One job after the other, by a program that is traced once for all of them."""

    name = "loop"
    trains_together = False

    def __init__(
        self,
        settings: Settings,
        speeds: Speeds | None = None,
        feeds: Feeds | None = None,
        fallback: Engine | None = None,
    ) -> None:
        self.cache = TraceCache(settings)
        self.feeds = feeds or Feeds()
        self.speeds = speeds
        self.fallback = fallback

    def open(self, jobs: Sequence[PreparedJob]) -> LoopSession:
        """One job, on a model at its start."""
        (job,) = jobs
        return LoopSession(job, self)


class LoopSession(SingleSession):
    """One job on a model that others have used or will use."""

    def __init__(self, job: PreparedJob, engine: LoopFit) -> None:
        super().__init__(job)
        self._engine = engine
        self._training, self._validation = engine.feeds.of(job)
        self._traced: Traced = engine.cache.take(job.spec, self._training, self._validation)
        self._model = self._traced.model
        self._timer = EpochTimer()

    def start(self, job: PreparedJob, callbacks: Sequence[Any]) -> Any:
        """The model is at the job's start already."""
        if job.snapshot is not None:
            checkpoint.restore(self._model, job.snapshot)
        return self._model

    def train(self, on_progress: OnProgress) -> Sequence[Trained]:
        """The whole epoch, in calls of about half a second."""
        began = time.perf_counter()
        spec, rows = self._job.spec, self._training.rows
        numbers = (
            order(spec.seed, self._epoch, rows) if spec.shuffle else tf.range(rows, dtype=tf.int64)
        )
        done, loss, logs = self._traced.program.train(self._training, numbers, on_progress)
        self._timer.add(time.perf_counter() - began)
        return [Trained(logs, done - 1, loss)]

    def _validate(self, on_progress: OnProgress) -> Logs | None:
        if self._validation is None:
            return None
        began = time.perf_counter()
        logs = self._traced.program.validate(self._validation, on_progress)
        self._timer.extend(time.perf_counter() - began)
        return logs

    def close(self, *, is_intact: bool) -> None:
        """Keep the model for the next job, or drop it: an error may have left it in any state."""
        if not is_intact:
            self._engine.cache.drop(self._traced)
        if self._engine.speeds is not None and self._timer.quickest_s is not None:
            key = trace_key(self._job.spec, self._training, self._validation)
            self._engine.speeds.record(key, self._engine.name, self._timer.quickest_s)


def unsupported(job: PreparedJob, settings: Settings) -> str | None:
    """Why this engine cannot train a job as Keras's `fit` would, or None when it can."""
    spec = job.spec
    if job.arrays.has_streams:
        return "the dataset is streamed from its file"
    if feed.nbytes(job.arrays) > settings.memory_bytes:
        return "the windows of the dataset are too large to be made whole"
    if spec.jit_compile:
        return f"jit_compile={spec.jit_compile!r}"
    if spec.steps_per_execution > 1:
        return f"steps_per_execution={spec.steps_per_execution}"
    if job.claim.memory_step:
        return "the job ran out of memory before"
    if any(map(is_custom, spec.callbacks)):
        return "a callback of the user's own may act at any batch"
    if not proven.is_started_alike(spec):
        return f"the optimizer {spec.optimizer.get('class_name')} may begin with the job's weights"
    if spec.model.builder is not None:
        return "the model is built by a function on the worker"
    return None
