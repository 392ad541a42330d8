"""The fused engine: K jobs of one architecture and dataset at once, in one vectorised program."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines import proven_classes
from fitfleet.worker.engines.engine import CannotTrace, Engine, OnProgress, Trained
from fitfleet.worker.engines.fused.fused_program import FusedProgram
from fitfleet.worker.engines.fused.fused_state import RowModel, StackState
from fitfleet.worker.engines.fusible import layer_count
from fitfleet.worker.engines.programs.functions import Functions
from fitfleet.worker.engines.programs.program_key import program_key
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.speeds import EpochTimer, Speeds
from fitfleet.worker.engines.stacked.graph import Unfusable
from fitfleet.worker.engines.traced.evaluation import Evaluations
from fitfleet.worker.engines.traced.feed import Feed, Feeds
from fitfleet.worker.engines.traced.fresh_state import FreshState
from fitfleet.worker.engines.traced.open_widths import architecture_keys
from fitfleet.worker.engines.traced.trace_cache import (
    all_variables,
    batch_sizes,
    batch_symbols,
    trace_key,
)
from fitfleet.worker.engines.traced.tunable_scalars import TunableScalars, variable_build
from fitfleet.worker.logs import Logs, flat
from fitfleet.worker.models.build import precision
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.seeding import orders, seed_state, seed_variables
from fitfleet.worker.state import checkpoint

_MAX_PROGRAMS = 4


@dataclass
class Fused:
    """A compiled model with its program, and the values of its variables when a job starts."""

    model: Any
    program: FusedProgram
    fresh: FreshState
    scalars: TunableScalars
    evaluations: Evaluations  # of `model`
    functions: Functions  # of the program

    def row(self, job: PreparedJob) -> list[Any]:
        """Values of the program's variables for a job at its start, or at its checkpoint."""
        if job.snapshot is not None:
            if job.snapshot.is_of_parent:  # the learning rate stays that of the job
                self.fresh.assign(job.spec)
            checkpoint.restore(self.model, job.snapshot)
            weights = [v.numpy() for v in self.program.weights]
            optimizer = [v.numpy() for v in self.program.optimizer]
        else:
            weights = self.fresh.weights(job.spec)
            optimizer = [np.asarray(value) for _, value in self.fresh.optimizer(job.spec)]
        metrics = [np.zeros(v.shape, v.dtype) for v in self.program.metrics]
        return [*weights, *optimizer, *self.scalars.values(job.spec), *metrics]


class FusedFit:
    """All jobs that share an architecture and a dataset, in one program."""

    name = "fused"
    trains_together = True

    def __init__(
        self,
        settings: Settings,
        speeds: Speeds | None = None,
        feeds: Feeds | None = None,
        fallback: Engine | None = None,
        store: ProgramStore | None = None,
    ) -> None:
        self._settings, self._store = settings, store
        self._speeds = speeds
        self._kept: OrderedDict[str, Fused] = OrderedDict()
        self._failures: dict[str, str] = {}
        self._feeds = feeds or Feeds()
        self.fallback = fallback

    def key(self, job: PreparedJob) -> str:
        """The same for jobs that one program of this engine can train."""
        with precision(job.spec.dtype_policy):
            return self._key(job.spec, *self._feeds.of(job))

    def _key(self, spec: JobSpec, training: Feed, validation: Feed | None) -> str:
        return trace_key(spec, training, validation)

    def is_traced(self, job: PreparedJob) -> bool:
        """Whether this process has the program of this job."""
        return self.key(job) in self._kept

    def trace(self, job: PreparedJob) -> str | None:
        """Trace the program for jobs like this. The reason if it cannot be traced, or None."""
        with precision(job.spec.dtype_policy):
            try:
                self._fused(job, *self._feeds.of(job))
            except CannotTrace as error:
                return str(error)
        return None

    def open(self, jobs: Sequence[PreparedJob]) -> FusedSession:
        """A session of all these jobs."""
        training, validation = self._feeds.of(jobs[0])
        fused = self._fused(jobs[0], training, validation)
        return FusedSession(jobs, fused, self._feeds, self._speeds)

    def _fused(self, job: PreparedJob, training: Feed, validation: Feed | None) -> Fused:
        key = self._key(job.spec, training, validation)
        if key in self._failures:
            raise CannotTrace(self._failures[key])
        fused = self._kept.pop(key, None)
        if fused is None:
            try:
                fused = self._trace(job.spec, training, validation)
            except Exception as error:  # TensorFlow and Keras raise errors of many classes
                self._failures[key] = explanation(error)
                raise CannotTrace(self._failures[key]) from error
        self._kept[key] = fused
        while len(self._kept) > _MAX_PROGRAMS:
            self._kept.popitem(last=False)
        return fused

    def _functions(
        self, engine: str, key: str, spec: JobSpec, feeds: tuple[Feed, Feed | None]
    ) -> Functions:
        keys = architecture_keys(spec, *feeds)
        tracing = None
        if self._speeds is not None:
            tracing = self._speeds.tracing(self._store, engine, keys, layer_count(spec))
        return Functions(self._store, key, tracing=tracing)

    def _trace(self, spec: JobSpec, training: Feed, validation: Feed | None) -> Fused:
        model, scalars = variable_build(spec, self._settings)
        if not scalars.is_complete:
            raise Unfusable("a dropout rate or regularization factor is nowhere in the model")
        model._symbolic_build(data_batch=batch_symbols(training.data))
        fresh = FreshState(model, spec, self._settings)
        sizes = batch_sizes(spec)
        key, feeds = trace_key(spec, training, validation), (training, validation)
        stacked = self._functions("fused", program_key("fused", key, model), spec, feeds)
        functions = Functions(
            self._store, program_key("loop", key, model), all_variables(model, scalars)
        )
        program = FusedProgram(model, scalars.variables, training, validation, sizes, stacked)
        loops = proven_classes.is_same_in_a_loop(spec)
        evaluations = Evaluations(model, sizes[1], functions, loops=loops)
        return Fused(model, program, fresh, scalars, evaluations, stacked)


class FusedSession:
    """Several jobs in a stack, each in a row."""

    name = "fused"  # of its measured times

    def __init__(
        self,
        jobs: Sequence[PreparedJob],
        fused: Fused,
        feeds: Feeds,
        speeds: Speeds | None,
    ) -> None:
        self._fused, self._feeds, self._speeds = fused, feeds, speeds
        self._training, self._validation = feeds.of(jobs[0])
        self._spec = jobs[0].spec
        self._jobs: list[PreparedJob] = []  # in the order of their rows
        self._handles: dict[int, RowModel] = {}  # by job id
        self._rows: list[list[Any]] = []  # until the stack is created from them
        self._state: StackState | None = None
        self._epochs: Sequence[int] = ()
        self._timer = EpochTimer()

    def start(self, job: PreparedJob, callbacks: Sequence[Any]) -> Any:
        """Add a row for the job."""
        self._rows.append(self._fused.row(job))
        self._jobs.append(job)
        handle = RowModel(self._fused.model, lambda: self._stack, len(self._jobs) - 1)
        self._handles[job.claim.job_id] = handle
        return handle

    @property
    def _stack(self) -> StackState:
        if self._state is None:
            self._state = StackState(self._fused.program.variables, self._rows)
            self._rows = []
        return self._state

    def begin_epoch(self, epochs: Sequence[int]) -> None:
        """Set each job's random state to a function of (its seed, its epoch)."""
        self._epochs = epochs
        for index, variable in enumerate(seed_variables(self._fused.model)):
            for row, (job, epoch) in enumerate(zip(self._jobs, epochs, strict=True)):
                state = seed_state(job.spec.seed, index, epoch)
                self._stack.set(variable, row, state.astype(variable.dtype))

    def train(self, on_progress: OnProgress) -> Sequence[Trained]:
        """One epoch of all jobs."""
        began, program, stack = time.perf_counter(), self._fused.program, self._stack
        orders_ = tf.constant(self._orders())
        stack.tensors, logs = program.train(stack.tensors, self._training, orders_, on_progress)
        self._timer.add(time.perf_counter() - began, len(self._jobs))
        last = -(-self._training.rows // self._spec.batch_size) - 1
        return [Trained(logs_of_job, last, logs_of_job["loss"]) for logs_of_job in self._each(logs)]

    def validate(self, on_progress: OnProgress) -> Sequence[Logs] | None:
        """The validation logs of all jobs."""
        if self._validation is None:
            return None
        began, program, stack = time.perf_counter(), self._fused.program, self._stack
        stack.tensors, logs = program.validate(stack.tensors, self._validation, on_progress)
        self._timer.extend(time.perf_counter() - began)
        return self._each(logs)

    def _orders(self) -> np.ndarray:
        rows = self._training.rows
        return np.concatenate(
            [
                orders([job.spec.seed], epoch, rows, is_shuffled=job.spec.shuffle)
                for job, epoch in zip(self._jobs, self._epochs, strict=True)
            ]
        )

    def _each(self, logs: dict[str, np.ndarray]) -> list[Logs]:
        return [
            flat({name: values[row] for name, values in logs.items()})
            for row in range(len(self._jobs))
        ]

    def model(self, job: PreparedJob) -> Any:
        """The compiled model of the program, with this job's values until the next call."""
        model, handle = self._fused.model, self._handles[job.claim.job_id]
        self._stack.load(handle.row)
        self._fused.scalars.set(job.spec)
        model.stop_training = handle.stop_training
        return model

    def evaluate(self, job: PreparedJob, on_progress: OnProgress) -> Logs | None:
        """By a program of the model, not of the stack, so bit-equal to `evaluate`."""
        test = self._feeds.test(job)
        return None if test is None else self._fused.evaluations.run(test, on_progress)

    def keep(self, jobs: Sequence[PreparedJob]) -> None:
        """Remove all other jobs from the stack."""
        if len(jobs) == len(self._jobs):
            return
        rows = [self._handles[job.claim.job_id].row for job in jobs]
        if rows:
            self._stack.keep(rows)
        self._jobs = list(jobs)
        for row, job in enumerate(self._jobs):
            self._handles[job.claim.job_id].row = row

    def close(self, *, is_intact: bool) -> None:
        """Record the measured times; the next session sets all variables again."""
        if self._speeds is not None:
            keys = architecture_keys(self._spec, self._training, self._validation)
            functions, layers = self._fused.functions, layer_count(self._spec)
            self._speeds.add(keys, self.name, self._timer, functions, layers)
