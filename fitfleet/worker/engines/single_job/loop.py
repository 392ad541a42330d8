"""The engine loop: whole epochs in one traced program, bit-equal to Keras's `fit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.object_documents import is_custom
from fitfleet.worker.callbacks.user_callbacks import stops_on_nan
from fitfleet.worker.engines import proven_classes
from fitfleet.worker.engines.engine import Engine, OnProgress, Trained
from fitfleet.worker.engines.fusible import layer_count
from fitfleet.worker.engines.programs.functions import Tracing
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.single_job.session import SingleSession
from fitfleet.worker.engines.speeds import EpochTimer, Speeds
from fitfleet.worker.engines.traced import feed
from fitfleet.worker.engines.traced.feed import Feed, Feeds
from fitfleet.worker.engines.traced.open_widths import architecture_keys
from fitfleet.worker.engines.traced.trace_cache import TraceCache, Traced
from fitfleet.worker.logs import Logs
from fitfleet.worker.models.build import precision
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.seeding import order
from fitfleet.worker.state import checkpoint


class LoopFit:
    """Trains one job after the other, by a program that is traced once for all."""

    name = "loop"
    trains_together = False

    def __init__(
        self,
        settings: Settings,
        speeds: Speeds | None = None,
        feeds: Feeds | None = None,
        fallback: Engine | None = None,
        store: ProgramStore | None = None,
    ) -> None:
        self._store = store
        self.cache = TraceCache(settings, store, self._tracing)
        self.feeds = feeds or Feeds()
        self.speeds = speeds
        self.fallback = fallback

    def _tracing(self, spec: JobSpec, training: Feed, validation: Feed | None) -> Tracing | None:
        if self.speeds is None:
            return None
        keys = architecture_keys(spec, training, validation)
        return self.speeds.tracing(self._store, "loop", keys, layer_count(spec))

    def is_traced(self, job: PreparedJob) -> bool:
        """Whether this process has a traced model for this job."""
        with precision(job.spec.dtype_policy):
            return self.cache.has(job.spec, *self.feeds.of(job))

    def open(self, jobs: Sequence[PreparedJob]) -> LoopSession:
        """A session of one job, on a traced model at its start."""
        (job,) = jobs
        return LoopSession(job, self)


class LoopSession(SingleSession):
    """One job on a traced model that other jobs use too."""

    def __init__(self, job: PreparedJob, engine: LoopFit) -> None:
        super().__init__(job)
        self._engine = engine
        self._training, self._validation = engine.feeds.of(job)
        self._traced: Traced = engine.cache.take(job.spec, self._training, self._validation)
        self._model = self._traced.model
        self._timer = EpochTimer()

    def start(self, job: PreparedJob, callbacks: Sequence[Any]) -> Any:
        """The model; at its start, or at the job's checkpoint."""
        if job.snapshot is not None:
            checkpoint.restore(self._model, job.snapshot)
        return self._model

    def train(self, on_progress: OnProgress) -> Sequence[Trained]:
        """One epoch, in calls of about half a second."""
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
        logs = self._traced.program.evaluations.run(self._validation, on_progress)
        self._timer.extend(time.perf_counter() - began)
        return logs

    def evaluate(self, job: PreparedJob, on_progress: OnProgress) -> Logs | None:
        """By a traced program; that of the validation if the arrays have its signature."""
        test = self._engine.feeds.test(job)
        if test is None:
            return None
        return self._traced.program.evaluations.run(test, on_progress)

    def close(self, *, is_intact: bool) -> None:
        """Keep the model for the next job, or drop it: an error may have left it in any state."""
        if not is_intact:
            self._engine.cache.drop(self._traced)
        if self._engine.speeds is not None:
            spec = self._job.spec
            keys = architecture_keys(spec, self._training, self._validation)
            functions, layers = self._traced.program.functions, layer_count(spec)
            self._engine.speeds.add(keys, "loop", self._timer, functions, layers)


_SAVE_THE_MODEL = ("ModelCheckpoint", "TensorBoard")


def unsupported(job: PreparedJob, settings: Settings) -> str | None:
    """Why this engine cannot train a job as Keras's `fit` does; None if it can."""
    spec = job.spec
    if job.arrays.has_streams:
        return "the dataset is streamed from its file"
    if feed.nbytes(job.arrays) > settings.memory_bytes:
        return "the windows of the dataset are too large for memory"
    if spec.jit_compile:
        return f"jit_compile={spec.jit_compile!r}"
    if spec.steps_per_execution > 1 and not _is_same_in_steps(spec):
        return f"steps_per_execution={spec.steps_per_execution}"
    if spec.steps_per_epoch:
        return f"steps_per_epoch={spec.steps_per_epoch}"
    if job.claim.memory_step:
        return "the job has run out of memory before"
    if any(map(is_custom, spec.callbacks)):
        return "a custom callback may act at any batch"
    if any(callback["class_name"] in _SAVE_THE_MODEL for callback in spec.callbacks):
        return "a callback saves the model, and a traced program's model is shared by several jobs"
    if not proven_classes.has_same_start(spec):
        name = spec.optimizer.get("class_name")
        return f"the optimizer {name} may initialise its state from the job's weights"
    if spec.model.builder is not None:
        return "the model is built by a function on the worker"
    return None


def _is_same_in_steps(spec: JobSpec) -> bool:
    """Whether `fit` takes the same steps when it takes several in one call.

    TerminateOnNaN checks the loss after each step here, and after several in `fit`.
    """
    return proven_classes.is_same_in_a_loop(spec) and not stops_on_nan(spec)
