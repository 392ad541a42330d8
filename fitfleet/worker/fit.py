"""What stands around every fit, whichever engine trains: record, checkpoint, stop, end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fitfleet.db import checkpoints, leases, metrics
from fitfleet.db.metrics import EpochMetrics
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.storage import Storage, fsync, sha256
from fitfleet.worker import evaluate, log, resume
from fitfleet.worker.endings import Endings, NanLoss
from fitfleet.worker.engine import (
    CHECKPOINTED,
    EpochLogs,
    Interrupted,
    Member,
    MemberState,
    StopReason,
)
from fitfleet.worker.faultpoints import reach
from fitfleet.worker.record import Recorder

_OUTAGE_LOOK_S = 1.0
_FLUSH_S = 3600.0


class FitHooks:
    """The hooks that engines call; written once for all of them."""

    def __init__(
        self, database: Database, storage: Storage, settings: Settings, recorder: Recorder
    ) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings
        self._recorder = recorder
        self._endings = Endings(database, settings, recorder)

    @contextmanager
    def running(self, member: Member) -> Iterator[None]:
        """Holds all that is done for one member; its end, whatever it is, is recorded here."""
        with log.captured(self._endings.log_path(member)):
            member.is_running, member.progress_at = True, time.monotonic()
            try:
                if member.is_done:
                    raise Interrupted(StopReason.LOST)
                self.batch_end(member)
                yield
            except BaseException as error:  # the edge of a job
                self._endings.end(member, error)
            finally:
                member.is_running, member.is_done = False, True

    @contextmanager
    def preparing(self, member: Member) -> Iterator[None]:
        """Before an engine takes over: only an error ends the member here."""
        with log.captured(self._endings.log_path(member)):
            try:
                yield
            except BaseException as error:  # the edge of a job
                self._endings.end(member, error)
                member.is_done = True

    def epoch_begin(self, member: Member, epoch: int) -> None:
        """Before the first batch of an epoch, counted from 0."""
        member.epoch_began_at = time.monotonic()

    def batch_end(self, member: Member) -> None:
        """Between batches. Raises Interrupted when the member has to stop here."""
        member.batches += 1
        member.progress_at = time.monotonic()
        stop = member.stop
        if stop is not None and time.monotonic() >= stop.deadline:
            raise Interrupted(stop.reason)

    def epoch_end(
        self, member: Member, epoch: int, logs: dict[str, float], state: MemberState
    ) -> bool:
        """Records the epoch, checkpoints when it is time. True: a callback has ended the fit."""
        member.progress_at = time.monotonic()
        member.history.append(EpochLogs(epoch, logs))
        self._recorder.put(EpochMetrics(member.claim, epoch + 1, logs))
        reach("epoch_end")
        stop = member.stop
        if self._is_due(member, epoch, state) or (stop and stop.reason in CHECKPOINTED):
            self._checkpoint(member, epoch + 1, state)
        if stop is not None:
            raise Interrupted(stop.reason)
        return state.has_stopped

    def train_end(self, member: Member, state: MemberState) -> None:
        """Evaluates, saves and commits the member while its variables are at hand."""
        self._refuse_nan(member)
        model = state.model()
        scores = {"keras": evaluate.evaluate(model, member)}
        scores |= evaluate.run_evaluators(model, member, self._settings)
        self._save(member, model, scores, state.has_stopped)

    def _refuse_nan(self, member: Member) -> None:
        guarded = any(c["class_name"] == "TerminateOnNaN" for c in member.spec.callbacks)
        last = member.history[-1] if member.history else None
        if guarded and last is not None and not math.isfinite(last.logs.get("loss", 0.0)):
            raise NanLoss(f"the loss became NaN in epoch {last.epoch + 1}")

    def _is_due(self, member: Member, epoch: int, state: MemberState) -> bool:
        """By number of epochs, or by time; and at the end, where callbacks change the weights."""
        is_last = epoch + 1 >= member.spec.epochs or state.has_stopped
        if is_last:
            # `extend` goes on from here, not from the best weights that are put back.
            return any(getattr(c, "restore_best_weights", False) for c in member.callbacks)
        every = member.options.checkpoint_epochs or self._settings.checkpoint_epochs
        if every:
            return (epoch + 1) % every == 0
        least_s = member.options.checkpoint_s
        least_s = self._settings.checkpoint_s if least_s is None else least_s
        return time.monotonic() - member.checkpoint_at >= least_s

    def _checkpoint(self, member: Member, epoch: int, state: MemberState) -> None:
        """The file gets its name inside the fenced transaction: a zombie changes nothing."""
        claim = member.claim
        name = self._storage.checkpoint(claim.experiment, claim.job_id, claim.attempt, epoch)
        with self._storage.draft(name) as draft:
            resume.write(
                draft.path,
                state.model(),
                epoch=epoch,
                has_stopped=state.has_stopped,
                history=member.history,
                callbacks=member.callbacks,
                more={"spec": claim.spec},
            )
            fsync(draft.path)
            reach("in_checkpoint")
            try:
                with self._database.begin() as c:
                    if not checkpoints.checkpoint(c, claim, name, epoch):
                        raise Interrupted(StopReason.LOST)
                    draft.publish()
            except DatabaseError:
                return  # the fit goes on; the next checkpoint may find the database again
        reach("after_checkpoint")
        member.checkpoint_at, member.checkpoint_epoch = time.monotonic(), epoch
        self._remove_checkpoints(member, keep=name)

    def _remove_checkpoints(self, member: Member, keep: str | None) -> None:
        claim = member.claim
        for name in self._storage.checkpoints(claim.experiment, claim.job_id):
            if name != keep:
                self._storage.remove(name)

    def _save(
        self, member: Member, model: Any, scores: dict[str, dict[str, float]], has_stopped: bool
    ) -> None:
        claim = member.claim
        name = self._storage.final(claim.experiment, claim.job_id, claim.attempt)
        epoch = member.history[-1].epoch + 1 if member.history else 0
        with self._storage.draft(name) as draft:
            resume.write(
                draft.path,
                model,
                epoch=epoch,
                has_stopped=has_stopped or member.has_stopped,
                history=member.history,
                callbacks=member.callbacks,
                more={"spec": claim.spec, "scores": scores},
            )
            fsync(draft.path)
            digest, size = sha256(draft.path), draft.path.stat().st_size
            reach("between_save_and_commit")
            self._recorder.flush(_FLUSH_S)
            artifact = leases.Artifact(name, digest, size)
            while not self._commit(member, artifact, epoch, scores, model.count_params(), draft):
                time.sleep(_OUTAGE_LOOK_S)
        reach("after_commit")
        kept = self._kept_checkpoint(member)
        self._remove_checkpoints(member, keep=kept)
        # No other attempt may publish its draft any more: the job has ended.
        self._storage.remove_drafts(claim.experiment, claim.job_id)

    def _commit(
        self,
        member: Member,
        artifact: leases.Artifact,
        epoch: int,
        scores: dict[str, dict[str, float]],
        parameters: int,
        draft: Any,
    ) -> bool:
        """One transaction: scores, success and the file's name. False: the database is away."""
        try:
            with self._database.begin() as c:
                for source, found in scores.items():
                    metrics.record_scores(c, member.claim, found, source)
                is_held = leases.commit(
                    c,
                    member.claim,
                    artifact,
                    epoch=epoch,
                    seconds=time.monotonic() - member.claimed_at,
                    log_tail=log.tail(self._endings.log_path(member)),
                    parameters=parameters,
                )
                if not is_held:
                    raise Interrupted(StopReason.LOST)
                draft.publish()
        except DatabaseError:
            if member.stop is not None and member.stop.reason is StopReason.LOST:
                raise Interrupted(StopReason.LOST) from None
            return False
        return True

    def _kept_checkpoint(self, member: Member) -> str | None:
        restores = any(getattr(c, "restore_best_weights", False) for c in member.callbacks)
        if not restores or not member.checkpoint_epoch:
            return None
        claim = member.claim
        return self._storage.checkpoint(
            claim.experiment, claim.job_id, claim.attempt, member.checkpoint_epoch
        )
