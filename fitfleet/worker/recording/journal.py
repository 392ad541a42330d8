"""What is recorded of the jobs of a child, from their claim to their end."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from fitfleet.db import events
from fitfleet.db.attempts import leases
from fitfleet.db.attempts.claims import Claim
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.scheduling import reservations
from fitfleet.db.session import Connection, Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.states import FailureClass
from fitfleet.storage import Storage
from fitfleet.worker.control import Interrupted, JobControl, StopReason
from fitfleet.worker.environment import differences
from fitfleet.worker.failpoints import reach
from fitfleet.worker.process import memory
from fitfleet.worker.recording import job_log
from fitfleet.worker.recording.commits import CommitQueue
from fitfleet.worker.recording.failures import FailureRecorder, about, classify, log_path
from fitfleet.worker.recording.memory_record import MemoryRecord
from fitfleet.worker.recording.metrics import Recorder
from fitfleet.worker.state.saving import Saver, Scores, changes_weights_at_end

if TYPE_CHECKING:
    from fitfleet.worker.engines.choice import Choice
    from fitfleet.worker.fit import Fit
    from fitfleet.worker.prepared_job import PreparedJob
    from fitfleet.worker.process.memory_meter import Meter

_OUTAGE_POLL_S = 1.0

_log = logging.getLogger(__name__)


class DatabaseJournal:
    """A worker.journal.Journal in the database, the storage and the logs; every write is fenced."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        settings: Settings,
        recorder: Recorder,
        environment: dict[str, Any],
        meter: Meter,
    ) -> None:
        self._database = database
        self._settings = settings
        self._recorder = recorder
        self._environment = environment
        self._failures = FailureRecorder(database, settings, recorder)
        self._memory = MemoryRecord(meter)
        self.commits = CommitQueue(database, recorder, self._end)
        self._saver = Saver(database, storage, settings, environment, self.commits)
        self.is_out_of_memory = False  # one of the jobs ran out of memory

    @contextmanager
    def guard_all(self, controls: Sequence[JobControl]) -> Iterator[None]:
        """Record an error that nothing else handles as the end of all jobs that have not ended.

        When the process itself is to end, they go back to the queue.
        """
        try:
            yield
        except BaseException as error:
            is_told_to_end = not isinstance(error, Exception)
            reason = Interrupted(StopReason.RELEASE) if is_told_to_end else error
            for control in controls:
                if not control.is_done:
                    # Nothing has been done yet for one that was only reserved.
                    release = Interrupted(StopReason.RELEASE)
                    self._end(control, release if control.is_reserved else reason)
                    control.finish(reason)
            if is_told_to_end:
                raise

    @contextmanager
    def guard(self, control: JobControl) -> Iterator[None]:
        """Record an error inside as the end of this job, and suppress it."""
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException as error:  # the edge of a job
            try:
                if isinstance(error, Exception) and not isinstance(error, Interrupted):
                    self._saver.keep_files(control)
                self._end(control, error)
            finally:
                control.finish(error)

    def output(self, control: JobControl) -> AbstractContextManager[None]:
        """Send what is printed to the job's log."""
        return job_log.captured(log_path(self._settings, control.claim))

    @contextmanager
    def hold(self, control: JobControl) -> Iterator[None]:
        """Send output to the job's log, and let an error end this job alone."""
        with self.output(control), self.guard(control):
            yield

    def _end(self, control: JobControl, error: BaseException) -> None:
        if not isinstance(error, Interrupted):
            is_memory = classify(error)[0] is FailureClass.MEMORY
            self.is_out_of_memory |= is_memory
            bound = self._memory.bound(control) if is_memory else None
            self._failures.end(control, error, bound)
        else:
            self._failures.end(control, error)

    def begin(self, choice: Choice, jobs: Sequence[PreparedJob]) -> None:
        """Begin the attempts of reserved jobs, and record their engine.

        A job that is told to stop, or was taken from here, has ended then, without an attempt.
        An outage is waited out for them; of a record it loses only that.
        """
        reach("in_description")
        for control in [job.control for job in jobs if job.control.is_reserved]:
            with self.guard(control):
                if control.stop is not None:
                    raise Interrupted(control.stop.reason)
        left = [job for job in jobs if not job.control.is_done]
        while not self._has_begun(choice, left):
            time.sleep(_OUTAGE_POLL_S)
            left = [job for job in left if job.control.stop is None]

    def _has_begun(self, choice: Choice, jobs: Sequence[PreparedJob]) -> bool:
        """In one transaction; False while the database is away and it has to be repeated."""
        reserved = [job for job in jobs if job.control.is_reserved]
        for job in reserved:
            job.control.show_progress()
        try:
            with self._database.begin() as c:
                claims = [job.claim for job in reserved]
                started = reservations.begin(c, claims, self._settings.lease_s)
                self._describe(c, choice, jobs)
        except DatabaseError:
            return not reserved
        for job in reserved:
            if job.claim.key in started:
                job.control.start_attempt()
            else:
                job.control.finish(Interrupted(StopReason.LOST))
        for job in jobs:
            if not job.control.is_done:
                _log.info(
                    "job %s of %s started: attempt %s, from epoch %s",
                    job.claim.job_id, job.claim.experiment, job.claim.attempt, job.first_epoch,
                    extra=about(job.claim),
                )  # fmt: skip
            if job.snapshot is not None and not job.control.is_done:
                # The attempt before may have ended before the last of these reached the database.
                history = job.snapshot.history
                self._recorder.put(*(EpochMetrics(job.claim, e.epoch + 1, e.logs) for e in history))
        return True

    def _describe(self, c: Connection, choice: Choice, jobs: Sequence[PreparedJob]) -> None:
        environment = json.dumps(self._environment, sort_keys=True)
        rows: list[tuple[Claim, dict[str, Any]]] = []
        remarks: list[tuple[Claim, str, str]] = []
        reasons = dict(zip(choice.jobs, choice.reasons, strict=True))
        for job in jobs:
            level = memory.fallback_level(job.spec, job.options, job.claim.memory_step)
            values = {
                "environment": environment,
                "first_epoch": job.first_epoch,
                "engine": choice.engine.name,
                "engine_reason": level or reasons[job] or None,
            }
            rows.append((job.claim, values))
            remarks += [(job.claim, *remark) for remark in self._remarks(job, level)]
        leases.describe_attempts(c, rows)
        for remark in remarks:
            _add_event(c, *remark)

    def _remarks(self, job: PreparedJob, level: str) -> Iterator[tuple[str, str]]:
        if level:
            yield "memory", level
        if job.spec.keeps_averages:
            yield "weights", "averages of the steps (use_ema); metrics are of each epoch's own"
        if job.restart:
            yield "checkpoint", job.restart
        before = job.snapshot.environment if job.snapshot else {}
        changed = differences(before, self._environment) if before else []
        if changed:
            yield "environment", f"bit-equality is not guaranteed: {'; '.join(changed)}"

    def measure(self, engine: str, jobs: Sequence[PreparedJob]) -> None:
        """Measure memory from here."""
        self._memory.begin(engine, jobs)

    def epoch(self, fit: Fit, logs: dict[str, float], seconds: float) -> None:
        """Queue the metrics, which another thread writes."""
        self._recorder.put(EpochMetrics(fit.job.claim, fit.epoch, logs))
        values = "".join(f" - {name}: {value:.4g}" for name, value in logs.items())
        print(f"Epoch {fit.epoch}/{fit.job.spec.epochs} - {seconds:.2f}s{values}", flush=True)
        reach("epoch_end")

    def is_due(self, fit: Fit) -> bool:
        """By number of epochs, or by time; and at the end, where that changes the weights."""
        if fit.has_ended and changes_weights_at_end(fit):
            return True  # `extend` resumes from here, not from the best weights
        options = fit.job.options
        every = options.checkpoint_epochs or self._settings.checkpoint_epochs
        if every:
            return fit.epoch % every == 0
        if fit.has_ended:
            return False
        if fit.has_new_files:
            return True  # kept even if it fails in its first epochs
        wait_s = options.checkpoint_s
        wait_s = self._settings.checkpoint_s if wait_s is None else wait_s
        return time.monotonic() - fit.checkpoint_at >= wait_s

    def checkpoint(self, fit: Fit, model: Any) -> None:
        """Write one, and point the job's row to it."""
        self._saver.checkpoint(fit, model)

    def save(self, fit: Fit, model: Any, scores: Scores) -> None:
        """Write the fitted weights; the commit follows from another thread."""
        self._report(fit.job.claim, getattr(model, "initial_weights_report", None))
        self._saver.final(fit, model, scores, self._memory.measured(fit.control))

    def save_task(self, job: PreparedJob, predicted: Iterator[Any] | None, scores: Scores) -> None:
        """Write what a job without a fit gave; the commit follows from another thread."""
        self._saver.task(job, predicted, scores, self._memory.measured(job.control))

    def _report(self, claim: Claim, text: str | None) -> None:
        """Record an event with the weights of another job that did not fit."""
        if text is None:
            return
        try:
            with self._database.begin() as c:
                if claim.key in leases.heartbeat(c, [claim], self._settings.lease_s):
                    _add_event(c, claim, "initial_weights", text)
        except DatabaseError:
            return  # only a record; it is in the log too


def _add_event(c: Connection, claim: Claim, kind: str, detail: str) -> None:
    events.add(c, kind, claim.job_id, attempt=claim.attempt, worker=claim.worker, detail=detail)
