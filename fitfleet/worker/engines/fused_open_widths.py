"""K jobs at once, in one vectorised program that serves every width of its architecture.

The dimensions that follow from a width (open_widths.py) are left open in the program's signature.
What it computes for a width is what the program of that width computes, bit for bit; only the test
arrays are scored by the stack itself, since a program of one model would be another for each width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines.engine import CannotTrace, Engine, Logs, OnProgress, Trained
from fitfleet.worker.engines.evaluation import Evaluations
from fitfleet.worker.engines.feed import Feed, Feeds
from fitfleet.worker.engines.fresh_state import FreshState
from fitfleet.worker.engines.fused import Fused, FusedFit, FusedSession
from fitfleet.worker.engines.fused_program import FusedProgram
from fitfleet.worker.engines.open_widths import family_key, open_shapes
from fitfleet.worker.engines.programs.functions import Functions
from fitfleet.worker.engines.programs.program_key import program_key
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.speeds import OPEN, Speeds
from fitfleet.worker.engines.stacked.graph import Unfusable
from fitfleet.worker.engines.trace_cache import batch_symbols, trace_key
from fitfleet.worker.engines.tunable_scalars import variable_build
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.recording.error_text import explanation

# A model of a width is built in tenths of a second; all traced functions are the program's.
_MAX_WIDTHS = 16


class OpenFusedFit(FusedFit):
    """All jobs of one session have the same widths; another session may have others."""

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
        """Empty for a job whose program has to know its widths."""
        return family_key(spec, training, validation) or ""

    def open(self, jobs: Sequence[PreparedJob]) -> OpenFusedSession:
        """All of them at once."""
        training, validation = self._feeds.of(jobs[0])
        fused = self._fused(jobs[0], training, validation)
        return OpenFusedSession(jobs, fused, self._feeds, self._speeds, self)

    def refuse(self, spec: JobSpec, feeds: tuple[Feed, Feed | None], reason: str) -> None:
        """Train no jobs like this any more."""
        key = self._key(spec, *feeds)
        self._failures[key] = reason
        self._kept.pop(key, None)
        self._widths.clear()

    def _fused(self, job: PreparedJob, training: Feed, validation: Feed | None) -> Fused:
        of_all = super()._fused(job, training, validation)
        key = trace_key(job.spec, training, validation)
        fused = self._widths.pop(key, None)
        if fused is None or fused.functions is not of_all.functions:
            fused = self._of_width(job.spec, of_all, training)
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
        sizes = (spec.batch_size, spec.validation_batch_size or spec.batch_size)
        given = (model, scalars.variables, training, validation, sizes, functions)
        program = FusedProgram(*given, shapes)
        fused = Fused(model, program, fresh, scalars, _unused(model), functions)
        self._widths[trace_key(spec, training, validation)] = fused
        return fused

    def _of_width(self, spec: JobSpec, of_all: Fused, training: Feed) -> Fused:
        model, scalars = variable_build(spec, self._settings)
        model._symbolic_build(data_batch=batch_symbols(training.data))
        fresh = FreshState(model, spec, self._settings)
        program = of_all.program.of(model, scalars.variables)
        return Fused(model, program, fresh, scalars, _unused(model), of_all.functions)


def _unused(model: Any) -> Evaluations:
    """Programs that nobody traces, since the stack scores the test arrays."""
    return Evaluations(model, 1, Functions())


class OpenFusedSession(FusedSession):
    """Several jobs of the same widths, in a program that serves others too."""

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
        self._has_own = False  # a program of these widths alone

    def train(self, on_progress: OnProgress) -> Sequence[Trained]:
        """One epoch of all; after an error, by a program of these widths alone.

        A TypeError is TensorFlow's for a shape that the program does not take.
        """
        try:
            return super().train(on_progress)
        except (tf.errors.ResourceExhaustedError, tf.errors.CancelledError):
            raise
        except (tf.errors.OpError, TypeError, ValueError) as error:
            self._close_widths(explanation(error))
            return super().train(on_progress)  # the stack is as it was before

    def _close_widths(self, reason: str) -> None:
        feeds, spec, old = (self._training, self._validation), self._spec, self._fused
        self._engine.refuse(spec, feeds, reason)
        sizes = (spec.batch_size, spec.validation_batch_size or spec.batch_size)
        functions = Functions()
        given = (old.model, old.scalars.variables, *feeds, sizes, functions)
        try:
            program = FusedProgram(*given)
        except Exception as error:  # TensorFlow and Keras raise many kinds while tracing
            raise CannotTrace(explanation(error)) from error
        self._has_own = True
        self._fused = replace(old, program=program, functions=functions)

    def evaluate(self, job: PreparedJob, on_progress: OnProgress) -> Logs | None:
        """By the program itself, for a stack of one."""
        test = self._feeds.test(job)
        if test is None:
            return None
        row = self._handles[job.claim.job_id].row
        tensors = [tensor[row : row + 1] for tensor in self._stack.tensors]
        _, logs = self._fused.program.validate(tensors, test, on_progress)
        return {name: float(values[0]) for name, values in logs.items()}

    def close(self, *, is_intact: bool) -> None:
        """What was measured of a program of these widths alone says nothing of the other."""
        if not self._has_own:
            super().close(is_intact=is_intact)
