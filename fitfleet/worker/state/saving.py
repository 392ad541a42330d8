"""Files of a fit, fenced: checkpoints on the way, and the weights that the job's row points to."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

from fitfleet.db import checkpoints, leases
from fitfleet.db.metrics import has_nan
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.storage import Draft, Storage, fsync
from fitfleet.worker.engines.engine import Interrupted, Member, MemberState, StopReason
from fitfleet.worker.failpoints import reach
from fitfleet.worker.process.memory import micro_batch, peak_bytes
from fitfleet.worker.recording import log
from fitfleet.worker.recording.commits import Commits, Ending
from fitfleet.worker.recording.failures import Endings
from fitfleet.worker.state import checkpoint
from fitfleet.worker.state.building import inputs_of

Scores = dict[str, dict[str, float]]  # by source


class Saver:
    """Writes a member's files. A file gets its name inside the fenced transaction: a zombie
    changes nothing, in SQL or on disk.
    """

    def __init__(
        self,
        database: Database,
        storage: Storage,
        settings: Settings,
        endings: Endings,
        environment: dict[str, Any],
        commits: Commits,
    ) -> None:
        self._database = database
        self._storage = storage
        self._lease_s = settings.lease_s
        self._endings = endings
        self._environment = environment
        self._commits = commits

    def checkpoint(self, member: Member, epoch: int, state: MemberState) -> None:
        """Save the state after `epoch` epochs and remove older checkpoints.

        Nothing happens while the database is away: the fit goes on and a later one succeeds.
        """
        claim = member.claim
        name = self._storage.checkpoint(claim.experiment, claim.job_id, claim.attempt, epoch)
        with self._storage.draft(name) as draft:
            self._write(draft, member, state.model(), epoch, state.has_stopped)
            fsync(draft.path)
            reach("in_checkpoint")
            try:
                with self._database.begin() as c:
                    if not checkpoints.checkpoint(c, claim, name, epoch):
                        raise Interrupted(StopReason.LOST)
                    reach("in_publish")
                    draft.publish()
                    # Slow storage held the row, and kept the heartbeat from it.
                    leases.heartbeat(c, [claim], self._lease_s)
            except DatabaseError:
                return
        reach("after_checkpoint")
        member.checkpoint_at, member.checkpoint_epoch = time.monotonic(), epoch
        self._remove_outdated(member, epoch, keep=name)

    def final(self, member: Member, model: Any, scores: Scores, *, has_stopped: bool) -> None:
        """Save the fitted weights, and leave the member to be committed with them."""
        claim = member.claim
        name = self._storage.final(claim.experiment, claim.job_id, claim.attempt)
        epoch = member.history[-1].epoch + 1 if member.history else 0
        checkpoint = self._last_checkpoint(member, epoch)
        with ExitStack() as kept:
            draft = kept.enter_context(self._storage.draft(name))
            self._write(draft, member, model, epoch, has_stopped, scores=scores)
            values = {
                "epoch": epoch,
                "seconds": member.seconds,
                "log_tail": log.tail(self._endings.log_path(member)),
                "memory_peak_bytes": peak_bytes(),
                "parameters": sum(math.prod(v.shape) for v in model.weights),
                "checkpoint_path": checkpoint or name,
                "scores": scores,
                "kept_epoch": _kept_epoch(member, epoch),
                "nan_epoch": next(
                    (one.epoch + 1 for one in member.history if has_nan(one.logs)), None
                ),
            }
            self._commits.put(
                Ending(
                    member,
                    name,
                    draft,
                    kept.pop_all(),
                    values,
                    after=lambda: self._remove_outdated(member, None, keep=checkpoint),
                )
            )

    def _write(
        self,
        draft: Draft,
        member: Member,
        model: Any,
        epoch: int,
        has_stopped: bool,
        **more: Any,
    ) -> None:
        batch_size, _ = micro_batch(member.spec, member.options, member.claim.memory_step)
        checkpoint.write(
            draft.path,
            model,
            epoch=epoch,
            has_stopped=has_stopped,
            history=member.history,
            callbacks=member.callbacks,
            more={
                "spec": member.claim.spec,
                "environment": self._environment,
                "batch_size": batch_size,
                "inputs": inputs_of(
                    member.arrays, is_weighted=member.spec.class_weight is not None
                ),
                **more,
            },
        )

    def _last_checkpoint(self, member: Member, epoch: int) -> str | None:
        """The checkpoint of the last epoch, where the final weights are not those of its end."""
        if not changes_weights_at_end(member):
            return None
        claim = member.claim
        if member.checkpoint_epoch == epoch:
            return self._storage.checkpoint(claim.experiment, claim.job_id, claim.attempt, epoch)
        if member.snapshot is not None and member.snapshot.epoch == epoch:
            return claim.checkpoint_path
        return None

    def _remove_outdated(self, member: Member, epoch: int | None, keep: str | None) -> None:
        claim = member.claim
        for name in self._storage.outdated(claim.experiment, claim.job_id, claim.attempt, epoch):
            if name != keep:
                self._storage.remove(name)


def _kept_epoch(member: Member, last: int) -> int:
    """The epoch, counted from 1, whose weights are kept: the last one's, or the best one's.

    Of several callbacks that put back their best weights the last one has the last word. Averaged
    weights (use_ema) are those of the last epoch.
    """
    kept = last
    for callback in member.callbacks:
        if getattr(callback, "restore_best_weights", False) and callback.best_weights is not None:
            kept = callback.best_epoch + 1
    return kept


def changes_weights_at_end(member: Member) -> bool:
    """Whether best or averaged weights take the place of the last epoch's."""
    if member.spec.optimizer.get("config", {}).get("use_ema"):
        return True
    return any(getattr(c, "restore_best_weights", False) for c in member.callbacks)
