"""The ends of fitted jobs: a thread that syncs their files and commits them, many at once.

Those that end within a moment form a batch: their files are synced side by side, and their rows are
written in one transaction. The last one of a child's jobs is committed at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from fitfleet.db.attempts import successes
from fitfleet.db.attempts.claims import Artifact
from fitfleet.db.outages import OUTAGE_POLL_S
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.objects.draft import Draft
from fitfleet.storage import sha256
from fitfleet.worker.control import Interrupted, JobControl, StopReason
from fitfleet.worker.failpoints import reach
from fitfleet.worker.recording.metrics import Recorder

_GATHER_S = 0.05
_MAX_JOBS = 32  # jobs in one transaction; meanwhile the next ones are trained
_SYNCS = 16  # files synced side by side: a journal writes them together


@dataclass(eq=False)
class PendingCommit:
    """A fitted job whose weights are in a draft: all that is left is to commit it."""

    control: JobControl
    draft: Draft
    kept: ExitStack  # closed, it removes a draft that was not published
    values: Mapping[str, Any]  # of successes.Success, without claim and artifact
    after: Callable[[], None]  # called once it is committed
    artifact: Artifact | None = None
    is_open: bool = True  # neither committed nor failed yet

    def sync(self) -> None:
        """Sync the draft to the storage. OSError or StorageError if that fails."""
        path = self.draft.path
        self.draft.secure()
        self.artifact = Artifact(self.draft.name, sha256(path), path.stat().st_size)

    def publish(self) -> None:
        """Rename the draft to its final name. OSError if the storage fails."""
        self.draft.publish()

    @property
    def success(self) -> successes.Success:
        """What is written; after `sync`."""
        assert self.artifact is not None
        return successes.Success(self.control.claim, self.artifact, **self.values)


_log = logging.getLogger(__name__)

Errors = dict[PendingCommit, Exception]


class _Refused(Exception):
    """Some drafts could not be renamed: the transaction is to be rolled back."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(f"{len(errors)} files")
        self.errors = errors


class CommitQueue:
    """Commits fitted jobs in their order; as a context manager it waits for all.

    `fail(control, error)` records any other end: a refusing storage, a lost lease, a stop that came
    while the database was away. Until either is done the job's lease is kept.
    """

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        fail: Callable[[JobControl, BaseException], None],
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._fail = fail
        self._waiting: deque[PendingCommit] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._pool = ThreadPoolExecutor(_SYNCS, thread_name_prefix="sync")
        self._thread = threading.Thread(target=self._run, name="commits", daemon=True)

    def __enter__(self) -> CommitQueue:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()
        self._pool.shutdown()

    def put(self, commit: PendingCommit) -> None:
        """Queue a job to be committed, without waiting for disk or database."""
        commit.control.start_commit()
        self._recorder.leave_to_commit(commit.control.claim)
        with self._changed:
            self._waiting.append(commit)
            self._changed.notify_all()

    def _run(self) -> None:
        while batch := self._take():
            try:
                errors = self._each(PendingCommit.sync, batch)
                reach("between_save_and_commit")
                self._commit_or_end(self._without(errors, batch))
            except Exception as error:  # the thread must survive for the next ones
                self._without({commit: error for commit in batch if commit.is_open}, batch)

    def _take(self) -> list[PendingCommit]:
        """The next batch; empty when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            # Where others may end at once too. The last ones are not kept waiting.
            self._changed.wait_for(
                lambda: len(self._waiting) >= _MAX_JOBS or self._is_closed, _GATHER_S
            )
            batch = [self._waiting.popleft() for _ in range(min(_MAX_JOBS, len(self._waiting)))]
        for commit in batch:
            commit.control.show_progress()
        return batch

    def _commit_or_end(self, batch: list[PendingCommit]) -> None:
        """Commit a batch, or record the errors of its jobs."""
        while batch:
            try:
                committed = self._commit(batch)
            except DatabaseError:
                batch = self._still_waiting(batch)
            except _Refused as refused:
                batch = self._without(refused.errors, batch)
            except Exception as error:
                if len(batch) > 1:  # of one of them, unknown which
                    for commit in batch:
                        self._commit_or_end([commit])
                    return
                batch = self._without({batch[0]: error}, batch)
            else:
                reach("after_commit")
                for commit in batch:
                    is_lost = commit.control.key not in committed
                    self._end(commit, Interrupted(StopReason.LOST) if is_lost else None)
                return

    def _commit(self, batch: Sequence[PendingCommit]) -> set[tuple[int, int]]:
        """Commit metrics, scores, successes and file names in one transaction; the held keys."""
        with self._database.begin() as c:
            epochs = self._recorder.waiting([commit.control.claim for commit in batch])
            committed = successes.record(c, [commit.success for commit in batch], epochs)
            errors = self._each(
                PendingCommit.publish,
                [pending for pending in batch if pending.control.key in committed],
            )
            if errors:
                raise _Refused(errors)
        return committed

    def _still_waiting(self, batch: Sequence[PendingCommit]) -> list[PendingCommit]:
        """Wait a while; those that may still wait for the database."""
        stopped: Errors = {}
        for commit in batch:
            commit.control.show_progress()
            stop = commit.control.stop
            # A fit that has ended in its time does not use it up by waiting here.
            if stop is not None and stop.reason is not StopReason.TIMEOUT:
                stopped[commit] = Interrupted(stop.reason)
        rest = self._without(stopped, batch)
        if rest:
            time.sleep(OUTAGE_POLL_S)
        return rest

    def _each(
        self, work: Callable[[PendingCommit], None], batch: Sequence[PendingCommit]
    ) -> Errors:
        """Run `work` for each in parallel; the errors of those that fail."""
        if len(batch) == 1:
            errors = [_error(work, batch[0])]
        else:
            errors = list(self._pool.map(_error, [work] * len(batch), batch))
        return {
            commit: error for commit, error in zip(batch, errors, strict=True) if error is not None
        }

    def _without(self, errors: Errors, batch: Sequence[PendingCommit]) -> list[PendingCommit]:
        """End these with their errors; the others."""
        for commit, error in errors.items():
            self._end(commit, error)
        return [commit for commit in batch if commit not in errors]

    def _end(self, commit: PendingCommit, error: Exception | None) -> None:
        commit.is_open = False
        try:
            with commit.kept:
                if error is not None:
                    raise error
            commit.after()
            claim, values = commit.control.claim, commit.values
            _log.info(
                "job %s of %s succeeded: %s epochs, %.1f s",
                claim.job_id, claim.experiment, values["epoch"], values["seconds"],
                extra={"job": claim.job_id, "attempt": claim.attempt},
            )  # fmt: skip
        except Exception as found:  # the edge of a job
            self._fail(commit.control, found)
        finally:
            self._recorder.forget([commit.control.claim])
            commit.control.end_commit()


def _error(work: Callable[[PendingCommit], None], commit: PendingCommit) -> Exception | None:
    try:
        work(commit)
    except Exception as error:
        return error
    return None
