"""K jobs at once, in one vectorised program that serves every width of its architecture.

The dimensions that depend on a width (open_widths.py) are None in the program's signature. For each
width it computes what the program of that width computes, bit for bit. Test arrays are evaluated by
the stack, since a program of the model would have to be traced for each width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines.engine import CannotTrace, Engine, OnProgress, Trained
from fitfleet.worker.engines.fused.fused import Fused, FusedFit, FusedSession
from fitfleet.worker.engines.fused.fused_program import FusedProgram
from fitfleet.worker.engines.programs.functions import Functions
from fitfleet.worker.engines.programs.program_key import program_key
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.speeds import OPEN, Speeds
from fitfleet.worker.engines.stacked.graph import Unfusable
from fitfleet.worker.engines.traced.evaluation import Evaluations
from fitfleet.worker.engines.traced.feed import Feed, Feeds
from fitfleet.worker.engines.traced.fresh_state import FreshState
from fitfleet.worker.engines.traced.open_widths import family_key, open_shapes
from fitfleet.worker.engines.traced.trace_cache import batch_sizes, batch_symbols, trace_key
from fitfleet.worker.engines.traced.tunable_scalars import variable_build
from fitfleet.worker.logs import Logs
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.recording.error_text import explanation

# A model of another width is built in tenths of a second, and shares the traced functions.
_MAX_WIDTHS = 16


class OpenFusedFit(FusedFit):
    """Jobs of a session have the same widths; other sessions may have others."""

    def __init__(
        self,
        settings: Settings,
        speeds: Speeds | None = None,
        feeds: Feeds | None = None,
        fallback: Engine | None = None,
        store: ProgramStore | None = None,
    ) -> None:
        super().__init__(settings, speeds, feeds, fallback, store)
        self._widths: OrderedDict[str, Fused] = OrderedDict()

    def _key(self, spec: JobSpec, training: Feed, validation: Feed | None) -> str:
        """Empty for a job whose program needs fixed widths."""
        return family_key(spec, training, validation) or ""

    def open(self, jobs: Sequence[PreparedJob]) -> OpenFusedSession:
        """A session of all these jobs."""
        training, validation = self._feeds.of(jobs[0])
        fused = self._fused(jobs[0], training, validation)
        return OpenFusedSession(jobs, fused, self._feeds, self._speeds, self)

    def refuse(self, spec: JobSpec, feeds: tuple[Feed, Feed | None], reason: str) -> None:
        """Trace no program for jobs like this any more."""
        key = self._key(spec, *feeds)
        self._failures[key] = reason
        self._kept.pop(key, None)
        self._widths.clear()

    def _fused(self, job: PreparedJob, training: Feed, validation: Feed | None) -> Fused:
        any_width = super()._fused(job, training, validation)
        key = trace_key(job.spec, training, validation)
        fused = self._widths.pop(key, None)
        if fused is None or fused.functions is not any_width.functions:
            fused = self._of_width(job.spec, any_width, training)
        self._widths[key] = fused
        while len(self._widths) > _MAX_WIDTHS:
            self._widths.popitem(last=False)
        return fused

    def _trace(self, spec: JobSpec, training: Feed, validation: Feed | None) -> Fused:
        key = self._key(spec, training, validation)
        if not key:
            raise Unfusable("its program needs fixed widths")
        model, scalars = variable_build(spec, self._settings)
        model._symbolic_build(data_batch=batch_symbols(training.data))
        feeds = (training, validation)
        functions = self._functions(OPEN, program_key("fused", key, model), spec, feeds)
        fresh = FreshState(model, spec, self._settings)
        shapes = open_shapes(spec, self._settings, training)
        sizes = batch_sizes(spec)
        program = FusedProgram(
            model, scalars.variables, training, validation, sizes, functions, shapes
        )
        fused = Fused(model, program, fresh, scalars, _unused(model), functions)
        self._widths[trace_key(spec, training, validation)] = fused
        return fused

    def _of_width(self, spec: JobSpec, any_width: Fused, training: Feed) -> Fused:
        model, scalars = variable_build(spec, self._settings)
        model._symbolic_build(data_batch=batch_symbols(training.data))
        fresh = FreshState(model, spec, self._settings)
        program = any_width.program.of(model, scalars.variables)
        return Fused(model, program, fresh, scalars, _unused(model), any_width.functions)


def _unused(model: Any) -> Evaluations:
    """Programs that are never traced, since the stack evaluates the test arrays."""
    return Evaluations(model, 1, Functions())


class OpenFusedSession(FusedSession):
    """Several jobs of the same widths, in a program for any width."""

    name = OPEN

    def __init__(
        self,
        jobs: Sequence[PreparedJob],
        fused: Fused,
        feeds: Feeds,
        speeds: Speeds | None,
        engine: OpenFusedFit,
    ) -> None:
        super().__init__(jobs, fused, feeds, speeds)
        self._engine = engine
        self._has_fixed_widths = False  # a program of these widths only

    def train(self, on_progress: OnProgress) -> Sequence[Trained]:
        """One epoch of all jobs; after an error, by a program of these widths only.

        TensorFlow raises TypeError for a shape that the program does not take.
        """
        try:
            return super().train(on_progress)
        except (tf.errors.ResourceExhaustedError, tf.errors.CancelledError):
            raise
        except (tf.errors.OpError, TypeError, ValueError) as error:
            self._fix_widths(explanation(error))
            return super().train(on_progress)  # the error left the stack unchanged

    def _fix_widths(self, reason: str) -> None:
        feeds, spec, old = (self._training, self._validation), self._spec, self._fused
        self._engine.refuse(spec, feeds, reason)
        sizes = batch_sizes(spec)
        functions = Functions()
        try:
            program = FusedProgram(old.model, old.scalars.variables, *feeds, sizes, functions)
        except Exception as error:  # TensorFlow and Keras raise errors of many classes
            raise CannotTrace(explanation(error)) from error
        self._has_fixed_widths = True
        self._fused = replace(old, program=program, functions=functions)

    def evaluate(self, job: PreparedJob, on_progress: OnProgress) -> Logs | None:
        """By the program, on a stack of this job's row."""
        test = self._feeds.test(job)
        if test is None:
            return None
        row = self._handles[job.claim.job_id].row
        tensors = [tensor[row : row + 1] for tensor in self._stack.tensors]
        _, logs = self._fused.program.validate(tensors, test, on_progress)
        return {name: float(values[0]) for name, values in logs.items()}

    def close(self, *, is_intact: bool) -> None:
        """Record the measured times, unless they are those of a program of fixed widths."""
        if not self._has_fixed_widths:
            super().close(is_intact=is_intact)
