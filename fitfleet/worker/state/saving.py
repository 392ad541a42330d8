"""Files of a fit, fenced: checkpoints on the way, and the weights that the job's row points to."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import h5py

from fitfleet.db.attempts import checkpoints, leases
from fitfleet.db.attempts.claims import Claim
from fitfleet.db.attempts.memory import Measurement
from fitfleet.db.attempts.metrics import has_nan
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError, FitfleetError
from fitfleet.objects.draft import Draft
from fitfleet.settings import Settings
from fitfleet.storage import Storage, sha256
from fitfleet.weights.callback_files import AT_FAILURE
from fitfleet.worker.control import Interrupted, JobControl, StopReason
from fitfleet.worker.failpoints import reach
from fitfleet.worker.process.memory import micro_batch, peak_bytes
from fitfleet.worker.recording import job_log
from fitfleet.worker.recording.commits import CommitQueue, PendingCommit
from fitfleet.worker.recording.failures import log_path
from fitfleet.worker.state import checkpoint, predictions
from fitfleet.worker.state.build_variables import inputs_of

if TYPE_CHECKING:
    from fitfleet.worker.fit import Fit
    from fitfleet.worker.prepared_job import PreparedJob

_log = logging.getLogger(__name__)

Scores = dict[str, dict[str, float]]  # by source


class Saver:
    """Writes a job's files. A file gets its name inside the fenced transaction: a worker that has
    lost the job changes nothing, in SQL or on disk.
    """

    def __init__(
        self,
        database: Database,
        storage: Storage,
        settings: Settings,
        environment: dict[str, Any],
        commits: CommitQueue,
    ) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings
        self._environment = environment
        self._commits = commits

    def checkpoint(self, fit: Fit, model: Any) -> None:
        """Save the state after the epochs done so far, and remove older checkpoints.

        Nothing happens while the database is away: the fit continues and a later one succeeds.
        """
        claim = fit.job.claim
        name = self._storage.checkpoint(claim.experiment, claim.job_id, claim.attempt, fit.epoch)
        with self._storage.draft(name) as draft:
            self._write(draft, fit, model, has_stopped=bool(fit.model.stop_training))
            try:
                digest = self._publish(draft, claim, fit.epoch)
            except DatabaseError:
                return
        reach("after_checkpoint")
        fit.checkpoint_at, fit.checkpoint_epoch = time.monotonic(), fit.epoch
        fit.checkpoint_file = draft.name, digest
        self._remove_outdated(claim, fit.epoch, keep=draft.name)

    def _publish(self, draft: Draft, claim: Claim, epoch: int) -> str:
        """Give a checkpoint its name, and point the job's row to it; its sha256. DatabaseError."""
        draft.secure()
        digest = sha256(draft.path)
        reach("in_checkpoint")
        with self._database.begin() as c:
            if not checkpoints.checkpoint(c, claim, draft.name, epoch, digest):
                raise Interrupted(StopReason.LOST)
            reach("in_publish")
            draft.publish()
            # Slow storage held the row, and kept the heartbeat from it.
            leases.heartbeat(c, [claim], self._settings.lease_s)
        return digest

    def keep_files(self, control: JobControl) -> None:
        """Before a failure is recorded: what callbacks have written since the last checkpoint.

        It goes into a copy of that checkpoint, beside what the next attempt resumes with, under the
        same fence. Nothing happens where there is no checkpoint, or no way to write.
        """
        fit, claim = control.fit, control.claim
        if fit is None or fit.files is None or not fit.files.are_there:
            return
        path, digest = fit.checkpoint_file
        epoch = fit.checkpoint_epoch
        if path is None and fit.job.snapshot is not None and not fit.job.snapshot.is_of_parent:
            path, digest = claim.checkpoint_path, claim.checkpoint_sha256
            epoch = fit.job.snapshot.epoch
        if path is None:
            return
        try:
            self._copy_with_files(fit, path, digest, epoch)
        except (OSError, FitfleetError, Interrupted) as error:
            _log.warning("files of job %s as they were are not kept: %s", claim.job_id, error)

    def _copy_with_files(self, fit: Fit, path: str, digest: str | None, epoch: int) -> None:
        claim = fit.job.claim
        name = self._storage.checkpoint_again(claim.experiment, claim.job_id, claim.attempt, epoch)
        with self._storage.draft(name) as draft:
            shutil.copyfile(self._storage.local(path, digest), draft.path)
            with h5py.File(draft.path, "r+") as file:
                file.pop(AT_FAILURE, None)
                assert fit.files is not None
                fit.files.pack(file, fit.callbacks, AT_FAILURE)
            self._publish(draft, claim, epoch)
        self._storage.remove(path)

    def final(
        self, fit: Fit, model: Any, scores: Scores, measured: Measurement | None = None
    ) -> None:
        """Save the fitted weights, and queue the job's commit."""
        claim = fit.job.claim
        fit.control.timeline.start("save")
        name = self._storage.final(claim.experiment, claim.job_id, claim.attempt)
        last_checkpoint, digest = self._last_checkpoint(fit)
        with ExitStack() as kept:
            draft = kept.enter_context(self._storage.draft(name))
            self._write(draft, fit, model, has_stopped=fit.has_stopped, scores=scores)
            values = {
                "epoch": _last_epoch(fit),
                "seconds": fit.control.seconds,
                "train_seconds": _train_seconds(fit),
                "log_tail": job_log.tail(log_path(self._settings, claim)),
                "memory_peak_bytes": peak_bytes(),
                "memory": measured,
                "parameters": sum(math.prod(v.shape) for v in model.weights),
                "checkpoint_path": last_checkpoint or draft.name,
                "checkpoint_sha256": digest,
                "scores": scores,
                "kept_epoch": _kept_epoch(fit),
                "stopped_by": "budget" if fit.is_cut_short else None,
                "nan_epoch": next(
                    (entry.epoch + 1 for entry in fit.history if has_nan(entry.logs)), None
                ),
                "phases": self._phases(fit.control),
            }
            self._commits.put(
                PendingCommit(
                    fit.control,
                    draft,
                    kept.pop_all(),
                    values,
                    # No reference to the fit is kept until then: its model may be large.
                    after=lambda: self._remove_outdated(claim, None, keep=last_checkpoint),
                )
            )

    def task(
        self,
        job: PreparedJob,
        predicted: Iterator[Any] | None,
        scores: Scores,
        measured: Measurement | None = None,
    ) -> None:
        """Save what the model of another job predicts, and queue the job's commit."""
        claim = job.claim
        name = self._storage.final(claim.experiment, claim.job_id, claim.attempt)
        document = {"spec": claim.spec, "environment": self._environment, "scores": scores}
        with ExitStack() as kept:
            draft = kept.enter_context(self._storage.draft(name))
            predictions.write(draft.path, predicted, document)
            values = {
                "epoch": 0,
                "seconds": job.control.seconds,
                "log_tail": job_log.tail(log_path(self._settings, claim)),
                "memory_peak_bytes": peak_bytes(),
                "memory": measured,
                "scores": scores,
                "phases": self._phases(job.control),
            }
            self._commits.put(
                PendingCommit(job.control, draft, kept.pop_all(), values, after=lambda: None)
            )

    def _write(self, draft: Draft, fit: Fit, model: Any, *, has_stopped: bool, **more: Any) -> None:
        job = fit.job
        batch_size, _ = micro_batch(job.spec, job.options, job.claim.memory_step)
        checkpoint.write(
            draft.path,
            model,
            epoch=_last_epoch(fit),
            has_stopped=has_stopped,
            history=fit.history,
            callbacks=fit.callbacks,
            more={
                "spec": job.claim.spec,
                "environment": self._environment,
                "batch_size": batch_size,
                "adapted": job.adapted,
                "fingerprint": job.arrays.fingerprint,
                "trained_s": fit.trained_s,
                "inputs": inputs_of(job.arrays, is_weighted=job.spec.class_weight is not None),
                **more,
            },
            add=partial(self._pack, fit),
        )

    def _phases(self, control: JobControl) -> str | None:
        return control.timeline.to_json() if self._settings.traces else None

    def _pack(self, fit: Fit, file: Any) -> None:
        """The files that callbacks have written so far."""
        if fit.files is not None:
            fit.files.pack(file, fit.callbacks)

    def _last_checkpoint(self, fit: Fit) -> tuple[str | None, str | None]:
        """The checkpoint of the last epoch and its sha256, where the final weights are others."""
        if not changes_weights_at_end(fit):
            return None, None
        claim, epoch, snapshot = fit.job.claim, _last_epoch(fit), fit.job.snapshot
        if fit.checkpoint_epoch == epoch:
            return fit.checkpoint_file
        if snapshot is not None and snapshot.epoch == epoch:
            return claim.checkpoint_path, claim.checkpoint_sha256
        return None, None

    def _remove_outdated(self, claim: Claim, epoch: int | None, keep: str | None) -> None:
        for name in self._storage.outdated(claim.experiment, claim.job_id, claim.attempt, epoch):
            if name != keep:
                self._storage.remove(name)


def changes_weights_at_end(fit: Fit) -> bool:
    """Whether best or averaged weights take the place of the last epoch's."""
    return fit.job.spec.keeps_averages or any(
        getattr(c, "restore_best_weights", False) for c in fit.callbacks
    )


def _last_epoch(fit: Fit) -> int:
    return fit.history[-1].epoch + 1 if fit.history else 0


def _train_seconds(fit: Fit) -> float | None:
    """Seconds of the epochs alone: their number times the median of this attempt."""
    each = fit.control.epoch_seconds
    return None if each is None else each * len(fit.history)


def _kept_epoch(fit: Fit) -> int:
    """The epoch, counted from 1, whose weights are kept: the last one's, or the best one's.

    Of several callbacks that put back their best weights the last one counts. Averaged
    weights (use_ema) are those of the last epoch.
    """
    kept = _last_epoch(fit)
    for callback in fit.callbacks:
        if getattr(callback, "restore_best_weights", False) and callback.best_weights is not None:
            kept = callback.best_epoch + 1
    return kept
