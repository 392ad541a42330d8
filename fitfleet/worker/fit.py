"""What stands around every fit, whichever engine trains: record, checkpoint, stop, end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fitfleet.db import events, leases
from fitfleet.db.metrics import EpochMetrics
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.storage import Storage
from fitfleet.worker import evaluate
from fitfleet.worker.engines.engine import (
    CHECKPOINTED,
    EpochLogs,
    Interrupted,
    Member,
    MemberState,
    Stop,
    StopReason,
)
from fitfleet.worker.failpoints import reach
from fitfleet.worker.process.memory import reset_peak
from fitfleet.worker.recording import log
from fitfleet.worker.recording.commits import Commits
from fitfleet.worker.recording.failures import Endings, NanLoss
from fitfleet.worker.recording.metrics import Recorder
from fitfleet.worker.state.checkpoint import rnn_states_kept
from fitfleet.worker.state.saving import Saver, changes_weights_at_end


class FitHooks:
    """The hooks that engines call; written once for all of them."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        settings: Settings,
        recorder: Recorder,
        environment: dict[str, Any],
    ) -> None:
        self._settings = settings
        self._database = database
        self._recorder = recorder
        self.endings = Endings(database, settings, recorder)
        self.commits = Commits(database, recorder, self._end)
        self._saver = Saver(database, storage, settings, self.endings, environment, self.commits)
        self.failures: list[BaseException] = []  # of this run, for the child to judge itself by

    @contextmanager
    def running(self, member: Member) -> Iterator[None]:
        """Holds all that is done for one member; its end, whatever it is, is recorded here."""
        with log.captured(self.endings.log_path(member)):
            member.is_running, member.progress_at = True, time.monotonic()
            member.began_at = member.began_at or time.monotonic()
            reset_peak()
            try:
                if member.stop is not None:
                    # It has not begun, so there is no epoch to finish: the first call of
                    # `batch_end` ends it.
                    member.stop = Stop(member.stop.reason)
                yield
            except BaseException as error:  # the edge of a job
                self._end(member, error)
            finally:
                member.is_running, member.is_done = False, True

    @contextmanager
    def preparing(self, member: Member) -> Iterator[None]:
        """Before an engine takes over: only an error ends the member here."""
        with log.captured(self.endings.log_path(member)):
            # Watched like a fit: storage that hangs may never give the dataset.
            member.is_running, member.progress_at = True, time.monotonic()
            try:
                yield
            except BaseException as error:  # the edge of a job
                self._end(member, error)
                member.is_done = True
            finally:
                member.is_running = False

    @contextmanager
    def together(self, members: Sequence[Member]) -> Iterator[None]:
        """Holds a whole engine: its own error ends the members that it has not ended."""
        try:
            yield
        except Exception as error:  # the edge of several jobs
            for member in members:
                if not member.is_done:
                    with self.preparing(member):
                        raise error

    @contextmanager
    def guarding(self, members: Sequence[Member]) -> Iterator[None]:
        """Holds all from the claim on: an error that nothing else has met ends all that are left.

        Where the process itself is told to end, they go back to the queue.
        """
        try:
            yield
        except BaseException as error:
            is_told_to_end = not isinstance(error, Exception)
            reason = Interrupted(StopReason.RELEASE) if is_told_to_end else error
            for member in members:
                if not member.is_done:
                    self._end(member, reason)
                    member.is_done = True
            if is_told_to_end:
                raise

    def _end(self, member: Member, error: BaseException) -> None:
        if not isinstance(error, Interrupted):
            self.failures.append(error)
        self.endings.end(member, error)

    def epoch_begin(self, member: Member, epoch: int) -> None:
        """Before the first batch of an epoch, counted from 0."""
        member.epoch_began_at = time.monotonic()

    def batch_end(self, member: Member) -> None:
        """Between batches. Raises Interrupted when the member has to stop here."""
        member.batches += 1
        member.progress_at = at = time.monotonic()
        stop = member.stop
        if stop is not None and at >= stop.deadline:
            raise Interrupted(stop.reason)

    def epoch_end(
        self, member: Member, epoch: int, logs: dict[str, float], state: MemberState
    ) -> bool:
        """Records the epoch, checkpoints when it is time. True: a callback has ended the fit."""
        member.progress_at = at = time.monotonic()
        seconds = at - (member.epoch_began_at or at)
        member.epoch_s = min(seconds, member.epoch_s or seconds)
        member.history.append(EpochLogs(epoch, logs))
        self._recorder.put(EpochMetrics(member.claim, epoch + 1, logs))
        values = "".join(f" - {name}: {value:.4g}" for name, value in logs.items())
        print(f"Epoch {epoch + 1}/{member.spec.epochs} - {seconds:.2f}s{values}", flush=True)
        reach("epoch_end")
        stop = member.stop
        if self._is_due(member, epoch, state) or (stop and stop.reason in CHECKPOINTED):
            self._saver.checkpoint(member, epoch + 1, state)
        if stop is not None:
            raise Interrupted(stop.reason)
        return state.has_stopped

    def train_end(self, member: Member, state: MemberState) -> None:
        """Evaluates and saves the member while its variables are at hand; the commit follows."""
        self._refuse_nan(member)
        model = state.model()

        def between() -> None:
            self.batch_end(member)

        with rnn_states_kept(model):
            scores = {"keras": evaluate.evaluate(model, member, between)}
            scores |= evaluate.run_evaluators(model, member, self._settings, between)
        member.progress_at = time.monotonic()
        has_stopped = state.has_stopped or member.has_stopped
        self._report(member, getattr(model, "initial_weights_report", None))
        self._saver.final(member, model, scores, has_stopped=has_stopped)

    def _report(self, member: Member, text: str | None) -> None:
        """An event says which of another job's weights did not fit."""
        if text is None:
            return
        claim = member.claim
        try:
            with self._database.begin() as c:
                if claim.key in leases.heartbeat(c, [claim], self._settings.lease_s):
                    events.add(
                        c,
                        "initial_weights",
                        claim.job_id,
                        attempt=claim.attempt,
                        worker=claim.worker,
                        detail=text,
                    )
        except DatabaseError:
            return  # it is only a record; the log has it too

    def _refuse_nan(self, member: Member) -> None:
        guarded = any(c["class_name"] == "TerminateOnNaN" for c in member.spec.callbacks)
        last = member.history[-1] if member.history else None
        if guarded and last is not None and not math.isfinite(last.logs.get("loss", 0.0)):
            raise NanLoss(f"the loss became NaN in epoch {last.epoch + 1}")

    def _is_due(self, member: Member, epoch: int, state: MemberState) -> bool:
        """By number of epochs, or by time; and at the end, where that changes the weights."""
        is_last = epoch + 1 >= member.spec.epochs or state.has_stopped
        if is_last and changes_weights_at_end(member):
            return True  # `extend` goes on from here, not from the best weights
        every = member.options.checkpoint_epochs or self._settings.checkpoint_epochs
        if every:
            return (epoch + 1) % every == 0
        if is_last:
            return False
        least_s = member.options.checkpoint_s
        least_s = self._settings.checkpoint_s if least_s is None else least_s
        return time.monotonic() - member.checkpoint_at >= least_s
