"""The one training loop: the order of things in every fit, whichever engine advances it.

    epoch begin → train → validate → callbacks → record → checkpoint → stop → ... → end of the fit

Engines (engines/engine.py) only advance; what is recorded, and how an error ends a job, is the
journal's (recording/journal.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

import keras

from fitfleet.errors import FitfleetError
from fitfleet.settings import Settings
from fitfleet.worker.callbacks.user_callbacks import user_callbacks
from fitfleet.worker.callbacks.written_files import WrittenFiles
from fitfleet.worker.cohort_turns import turns
from fitfleet.worker.control import CHECKPOINTED, Interrupted, JobControl
from fitfleet.worker.engines.choice import Choice
from fitfleet.worker.engines.engine import CannotTrace, Engine, OnProgress, Session, Trained
from fitfleet.worker.journal import Journal
from fitfleet.worker.logs import Logs, numbers
from fitfleet.worker.models.build import precision
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.recording.failures import NanLoss
from fitfleet.worker.state import checkpoint
from fitfleet.worker.state.checkpoint import EpochLogs


class Fit:
    """The changing state of one job in training, used by the training thread alone."""

    def __init__(self, job: PreparedJob) -> None:
        self.job = job
        self.control = job.control
        self.control.fit = self
        self.callbacks: list[Any] = []  # keras.callbacks.Callback, the user's
        self.files: WrittenFiles | None = None  # that they write
        self.history = list(job.snapshot.history) if job.snapshot else []  # of all attempts
        self.epoch = job.first_epoch  # the one to train next, counted from 0
        self.trained_s = job.snapshot.trained_s if job.snapshot else 0.0  # of all its epochs
        self._is_out_of_time = job.is_out_of_time
        self.model: Any = None  # as the callbacks know it
        self._session: Session  # that it is trained in, since `begin`
        self.checkpoint_at = time.monotonic()  # of the last one written
        self.checkpoint_epoch = 0  # epochs contained in the last one that was committed
        self.checkpoint_file: tuple[str | None, str | None] = (None, None)  # its path, sha256

    @property
    def has_stopped(self) -> bool:
        """Whether a callback has ended the fit, in this attempt or before its checkpoint."""
        before = bool(self.job.snapshot and self.job.snapshot.has_stopped)
        return before or bool(self.model.stop_training)

    @property
    def has_ended(self) -> bool:
        """Whether no epoch is left to train."""
        return self.has_stopped or self._is_out_of_time or self.epoch >= self.job.spec.epochs

    @property
    def is_cut_short(self) -> bool:
        """Whether a budget has ended it, and neither a callback nor its last epoch."""
        is_whole = self.has_stopped or self.epoch >= self.job.spec.epochs
        return self._is_out_of_time and not is_whole

    @property
    def has_new_files(self) -> bool:
        """Whether its callbacks have written files, and no checkpoint has any yet."""
        has_checkpoint = self.checkpoint_epoch > 0 or self.job.snapshot is not None
        return not has_checkpoint and self.files is not None and self.files.are_there

    def count(self, seconds: float) -> None:
        """Count an epoch with its seconds, and decide whether another one begins."""
        self.trained_s += seconds
        limit = self.job.spec.stop_after
        is_spent = limit is not None and self.trained_s >= limit
        self._is_out_of_time = is_spent or self.control.is_to_finish

    def begin(self, session: Session, settings: Settings) -> None:
        """Start or checkpoint of the job, and of its callbacks."""
        spec = self.job.spec
        self.files = WrittenFiles(spec, self.job.snapshot, settings)
        self.callbacks = user_callbacks(spec, settings, self.files)
        self._session = session
        self.model = session.start(self.job, self.callbacks)
        self.model.stop_training = False
        steps = spec.steps_per_epoch or -(-self.job.arrays.rows // spec.batch_size)
        for callback in self.callbacks:
            callback.set_model(self.model)
            callback.set_params({"epochs": spec.epochs, "steps": steps, "verbose": 0})
            callback.on_train_begin()
        if self.job.snapshot is not None:  # the callbacks have reset themselves by now
            checkpoint.restore_callbacks(self.callbacks, self.job.snapshot)

    def begin_epoch(self) -> None:
        """Before the first batch."""
        self.control.start_epoch()
        for callback in self.callbacks:
            callback.on_epoch_begin(self.epoch)

    def end_epoch(self, trained: Trained, validated: Logs) -> dict[str, float]:
        """Run the callbacks. The numbers of the logs, with what they have added."""
        for callback in self.callbacks if trained.last_loss is not None else ():
            if isinstance(callback, keras.callbacks.TerminateOnNaN):
                callback.on_batch_end(trained.last_step, {"loss": trained.last_loss})
        logs = trained.logs | {f"val_{name}": value for name, value in validated.items()}
        for callback in self.callbacks:
            callback.on_epoch_end(self.epoch, logs)
        values = numbers(logs)
        self.history.append(EpochLogs(self.epoch, values))
        self.epoch += 1
        return values

    def end(self, model: Any) -> None:
        """What Keras does after the last epoch: averaged weights, best weights."""
        model.optimizer.finalize_variable_values(model.trainable_weights)
        logs = self.history[-1].logs if self.history else None
        for callback in self.callbacks:
            callback.set_model(model)
            callback.on_train_end(logs)
        self._refuse_nan()

    def evaluate(self, on_progress: OnProgress) -> Logs | None:
        """Logs of the test arrays, once it has ended; None: Keras's own `evaluate` has to do."""
        return self._session.evaluate(self.job, on_progress)

    def close(self) -> None:
        """Remove the local files, however the fit has ended; the storage has its copies."""
        self.control.fit = None
        if self.files is not None:
            self.files.close(self.callbacks)

    def _refuse_nan(self) -> None:
        is_guarded = any(isinstance(c, keras.callbacks.TerminateOnNaN) for c in self.callbacks)
        last = self.history[-1] if self.history else None
        if is_guarded and last is not None and not math.isfinite(last.logs.get("loss", 0.0)):
            raise NanLoss(f"the loss became NaN in epoch {last.epoch + 1}")


class _AllJobsEnded(Exception):
    """Every job of a session has ended while it trained."""


def train(
    choice: Choice, journal: Journal, settings: Settings
) -> Generator[tuple[Fit, Any], None, None]:
    """Train the jobs of a choice. Yields each at the end of its fit, with a model that holds its
    variables until the next is asked for: it is to be evaluated and saved meanwhile.

    A job that ends in another way is not yielded; the journal has recorded its end.
    """
    engine = choice.engine

    def begin(jobs: Sequence[PreparedJob]) -> None:
        with _shared([job.control for job in jobs], journal):
            journal.begin(choice, jobs)

    for together in turns(choice.jobs, begin, are_together=engine.trains_together):
        try:
            yield from _Cohort(together, journal, settings).run(engine)
        except CannotTrace as refusal:
            assert engine.fallback is not None
            left = [job for job in together if not job.control.is_done]
            reason = f"{engine.name} cannot trace it: {refusal}"
            yield from train(Choice(engine.fallback, left, [reason] * len(left)), journal, settings)


@contextmanager
def _shared(controls: Sequence[JobControl], journal: Journal) -> Iterator[None]:
    """An error in work for several jobs at once ends all of them that have not ended."""
    try:
        yield
    except (CannotTrace, _AllJobsEnded):
        raise
    except Exception as error:
        for control in controls:
            if not control.is_done:
                with journal.hold(control):
                    raise error


class _Cohort:
    """Jobs that one session trains: one, or several at once."""

    def __init__(self, jobs: Sequence[PreparedJob], journal: Journal, settings: Settings) -> None:
        self._journal, self._settings = journal, settings
        self._fits = [Fit(job) for job in jobs]
        self._seated: list[Fit] = []  # the jobs of the session, in its order

    def run(self, engine: Engine) -> Iterator[tuple[Fit, Any]]:
        """Open, train, close."""
        with ExitStack() as stack:
            for fit in self._fits:
                stack.callback(fit.close)
            if len(self._fits) == 1:  # all that is printed is its own
                stack.enter_context(self._journal.output(self._fits[0].control))
            for fit in self._fits:
                with self._journal.hold(fit.control):
                    fit.control.start()
                    fit.control.timeline.start("train")
                    fit.control.check()  # it may have been stopped while it waited
            if not self._open:
                return
            self._journal.measure(engine.name, [fit.job for fit in self._open])
            stack.enter_context(precision(self._fits[0].job.spec.dtype_policy))
            with self._sharing():
                session = engine.open([fit.job for fit in self._open])
                stack.callback(self._close, session)
                yield from self._train(session)

    @property
    def _open(self) -> list[Fit]:
        return [fit for fit in self._fits if not fit.control.is_done]

    def _sharing(self) -> AbstractContextManager[None]:
        return _shared([fit.control for fit in self._fits], self._journal)

    def _close(self, session: Session) -> None:
        session.close(is_intact=all(map(_is_intact, self._fits)))

    def _train(self, session: Session) -> Iterator[tuple[Fit, Any]]:
        for fit in self._open:
            with self._journal.hold(fit.control):
                fit.begin(session, self._settings)
        self._seated = [fit for fit in self._fits if fit.model is not None]
        with suppress(_AllJobsEnded):
            while self._open:
                yield from self._end_fits(session)
                self._drop_ended(session)
                if self._seated:
                    self._epoch(session)

    def _drop_ended(self, session: Session) -> None:
        """Take those that have ended out of the session."""
        seated = [fit for fit in self._seated if not fit.control.is_done]
        if len(seated) < len(self._seated):
            session.keep([fit.job for fit in seated])
            self._seated = seated

    def _epoch(self, session: Session) -> None:
        session.begin_epoch([fit.epoch for fit in self._seated])
        for fit in self._seated:
            with self._journal.hold(fit.control):
                fit.begin_epoch()
        trained = session.train(self._on_progress)
        validated = self._validated(session) or [{} for _ in self._seated]
        for fit, logs, others in zip(self._seated, trained, validated, strict=True):
            if not fit.control.is_done:
                with self._journal.hold(fit.control):
                    self._end_epoch(session, fit, fit.end_epoch(logs, others))

    def _validated(self, session: Session) -> Sequence[Logs] | None:
        """None: no validation is due. Those of a session may be at different epochs."""
        due = [fit.job.spec.validates(fit.epoch + 1) for fit in self._seated]
        logs = session.validate(self._on_progress) if any(due) else None
        return logs and [of if is_due else {} for of, is_due in zip(logs, due, strict=True)]

    def _on_progress(self) -> None:
        """Called between calls into the program: stops the jobs that are to stop."""
        for fit in self._open:
            with self._journal.guard(fit.control):
                fit.control.check()
        if not self._open:
            raise _AllJobsEnded

    def _end_epoch(self, session: Session, fit: Fit, logs: dict[str, float]) -> None:
        seconds = fit.control.end_epoch()
        fit.control.timeline.epoch(fit.epoch)
        fit.count(seconds)
        self._journal.epoch(fit, logs, seconds)
        stop = fit.control.stop
        if self._journal.is_due(fit) or (stop and stop.reason in CHECKPOINTED):
            self._journal.checkpoint(fit, session.model(fit.job))
        if stop is not None:
            raise Interrupted(stop.reason)

    def _end_fits(self, session: Session) -> Iterator[tuple[Fit, Any]]:
        for fit in self._open:
            if not fit.has_ended:
                continue
            model: Any = None
            with self._journal.hold(fit.control):
                model = session.model(fit.job)
                fit.end(model)
            if not fit.control.is_done:
                yield fit, model
                fit.control.finish()


def _is_intact(fit: Fit) -> bool:
    """Whether nothing but a stop, or what fitfleet itself refused, has ended it."""
    failure = fit.control.failure
    return failure is None or isinstance(failure, Interrupted | FitfleetError)
