"""What is recorded of the jobs of a child, from their claim to their end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from fitfleet.db import events, leases
from fitfleet.db.claims import Claim
from fitfleet.db.metrics import EpochMetrics
from fitfleet.db.session import Connection, Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.states import FailureClass
from fitfleet.storage import Storage
from fitfleet.worker.control import Interrupted, JobControl, StopReason
from fitfleet.worker.environment import differences
from fitfleet.worker.failpoints import reach
from fitfleet.worker.process import memory
from fitfleet.worker.recording import log
from fitfleet.worker.recording.commits import CommitQueue
from fitfleet.worker.recording.failures import FailureRecorder, classify, log_path
from fitfleet.worker.recording.metrics import Recorder
from fitfleet.worker.state.saving import Saver, Scores, changes_weights_at_end

if TYPE_CHECKING:
    from fitfleet.worker.engines.choice import Choice
    from fitfleet.worker.fit import Fit
    from fitfleet.worker.job import PreparedJob


class DatabaseJournal:
    """A fit.Journal in the database, the storage and the logs; every write is fenced."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        settings: Settings,
        recorder: Recorder,
        environment: dict[str, Any],
    ) -> None:
        self._database = database
        self._settings = settings
        self._recorder = recorder
        self._environment = environment
        self._failures = FailureRecorder(database, settings, recorder)
        self.commits = CommitQueue(database, recorder, self._end)
        self._saver = Saver(database, storage, settings, environment, self.commits)
        self.is_out_of_memory = False  # one of the jobs has met the end of the memory

    @contextmanager
    def guard_all(self, controls: Sequence[JobControl]) -> Iterator[None]:
        """Holds all from the claim on: an error that nothing else has met ends all that are left.

        Where the process itself is told to end, they go back to the queue.
        """
        try:
            yield
        except BaseException as error:
            is_told_to_end = not isinstance(error, Exception)
            reason = Interrupted(StopReason.RELEASE) if is_told_to_end else error
            for control in controls:
                if not control.is_done:
                    self._end(control, reason)
                    control.finish(reason)
            if is_told_to_end:
                raise

    @contextmanager
    def guard(self, control: JobControl) -> Iterator[None]:
        """An error ends this job, is recorded as its end, and goes no further."""
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException as error:  # the edge of a job
            try:
                self._end(control, error)
            finally:
                control.finish(error)

    def output(self, control: JobControl) -> AbstractContextManager[None]:
        """What is printed goes to the job's log."""
        return log.captured(log_path(self._settings, control.claim))

    @contextmanager
    def hold(self, control: JobControl) -> Iterator[None]:
        """All that is done for one job: its output goes to its log, and an error ends it alone."""
        with self.output(control), self.guard(control):
            yield

    def _end(self, control: JobControl, error: BaseException) -> None:
        if not isinstance(error, Interrupted):
            self.is_out_of_memory |= classify(error)[0] is FailureClass.MEMORY
        self._failures.end(control, error)

    def describe(self, choice: Choice) -> None:
        """Which engine trains these, why, and in what environment; an outage loses only that."""
        reach("in_description")
        environment = json.dumps(self._environment, sort_keys=True)
        rows: list[tuple[Claim, dict[str, Any]]] = []
        remarks: list[tuple[Claim, str, str]] = []
        for job, reason in zip(choice.jobs, choice.reasons, strict=True):
            level = memory.fallback_level(job.spec, job.options, job.claim.memory_step)
            values = {
                "environment": environment,
                "first_epoch": job.first_epoch,
                "engine": choice.engine.name,
                "engine_reason": level or reason or None,
            }
            rows.append((job.claim, values))
            remarks += [(job.claim, *remark) for remark in self._remarks(job, level)]
        try:
            with self._database.begin() as c:
                leases.describe_attempts(c, rows)
                for remark in remarks:
                    _add_event(c, *remark)
        except DatabaseError:
            return  # it is only a record; the fit does not wait for it

    def _remarks(self, job: PreparedJob, level: str) -> Iterator[tuple[str, str]]:
        if level:
            yield "memory", level
        if job.restart:
            yield "checkpoint", job.restart
        before = job.snapshot.environment if job.snapshot else {}
        changed = differences(before, self._environment) if before else []
        if changed:
            yield "environment", f"equality to the bit is not promised: {'; '.join(changed)}"

    def epoch(self, fit: Fit, logs: dict[str, float], seconds: float) -> None:
        """Its metrics go to the database from another thread."""
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
        wait_s = options.checkpoint_s
        wait_s = self._settings.checkpoint_s if wait_s is None else wait_s
        return time.monotonic() - fit.checkpoint_at >= wait_s

    def checkpoint(self, fit: Fit, model: Any) -> None:
        """Write one, and point the job's row to it."""
        self._saver.checkpoint(fit, model)

    def save(self, fit: Fit, model: Any, scores: Scores) -> None:
        """Write the fitted weights; the commit follows from another thread."""
        self._report(fit.job.claim, getattr(model, "initial_weights_report", None))
        self._saver.final(fit, model, scores)

    def _report(self, claim: Claim, text: str | None) -> None:
        """An event says which of another job's weights did not fit."""
        if text is None:
            return
        try:
            with self._database.begin() as c:
                if claim.key in leases.heartbeat(c, [claim], self._settings.lease_s):
                    _add_event(c, claim, "initial_weights", text)
        except DatabaseError:
            return  # it is only a record; the log has it too


def _add_event(c: Connection, claim: Claim, kind: str, detail: str) -> None:
    events.add(c, kind, claim.job_id, attempt=claim.attempt, worker=claim.worker, detail=detail)
