"""Stop requests to a running job, and its progress: shared by the threads of a child."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fitfleet.db.attempts.claims import Claim
from fitfleet.worker.timeline import Timeline

if TYPE_CHECKING:
    from fitfleet.worker.fit import Fit

# The median time of an epoch is that of this many last epochs.
_EPOCHS = 1_000


class StopReason(StrEnum):
    """Why a running fit has to end before its last epoch."""

    CANCEL = "cancel"
    PRUNE = "prune"
    RELEASE = "release"  # drain, pause: back to the queue, not a failure
    LOST = "lost"  # the lease went to someone else: nothing may be written any more
    TIMEOUT = "timeout"
    STALLED = "stalled"


# Only these may still write: the others have lost the right, or must not use more time.
CHECKPOINTED = frozenset({StopReason.CANCEL, StopReason.PRUNE, StopReason.RELEASE})


@dataclass(frozen=True)
class Stop:
    """An order to end. Before `deadline` (monotonic seconds) the epoch may still be finished."""

    reason: StopReason
    deadline: float = 0.0


class Interrupted(Exception):
    """Raised inside a fit to carry out a Stop."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(f"the fit was stopped: {reason}")
        self.reason = reason


class JobControl:
    """One held job as the threads of its child see it: training, lease, commits.

    Its claim never changes; the rest is behind one lock. All methods may be called from any thread
    and from a signal handler.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.timeline = Timeline()
        self.fit: Fit | None = None  # until it is closed; for the training thread alone
        # A signal handler runs in the main thread, which may hold the lock already.
        self._lock = threading.RLock()
        self._is_reserved = claim.reserved_as is not None
        self._stop: Stop | None = None
        self._is_training = False
        self._is_committing = False
        self._is_done = False
        self._is_to_finish = False
        self._failure: BaseException | None = None
        self._batches = 0
        self._progress_at = time.monotonic()
        self._started_at: float | None = None  # before, it waited for its cohort peers
        self._epoch_started_at: float | None = None
        self._epoch_s: float | None = None  # duration of the quickest whole epoch
        self._epochs_s: deque[float] = deque(maxlen=_EPOCHS)  # of this attempt, the last ones
        self._epochs_done = 0

    @property
    def key(self) -> tuple[int, int]:
        """(job id, attempt): what fences every write."""
        return self.claim.key

    @property
    def stop(self) -> Stop | None:
        """The order to end, if there is one."""
        return self._stop

    @property
    def batches(self) -> int:
        """How often the fit has shown progress."""
        return self._batches

    @property
    def progress_at(self) -> float:
        """When it did so last, in monotonic seconds."""
        return self._progress_at

    @property
    def is_reserved(self) -> bool:
        """Whether its slot only keeps it for later, and its attempt has not begun."""
        return self._is_reserved

    @property
    def is_training(self) -> bool:
        """Whether it is its turn in the training thread."""
        return self._is_training

    @property
    def is_committing(self) -> bool:
        """Whether it is fitted and its commit is in progress."""
        return self._is_committing

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train or evaluate."""
        return self._is_done

    @property
    def is_held(self) -> bool:
        """Whether its lease is still needed."""
        return not self._is_done or self._is_committing

    @property
    def failure(self) -> BaseException | None:
        """What has ended the fit, if it was an error."""
        return self._failure

    @property
    def seconds(self) -> float:
        """What this attempt has used up so far; nothing while it waits for its turn."""
        return 0.0 if self._started_at is None else time.monotonic() - self._started_at

    def start_attempt(self) -> None:
        """It was reserved, and its row says by now that it runs."""
        self._is_reserved = False
        self.timeline.begin()

    def start(self) -> None:
        """Its turn begins. A stop that came before acts at the first `check`."""
        with self._lock:
            self._is_training = True
            self._progress_at = time.monotonic()
            self._started_at = self._started_at or self._progress_at
            if self._stop is not None:  # there is no epoch to finish
                self._stop = Stop(self._stop.reason)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Watched like a fit, since storage that hangs may never give the dataset."""
        with self._lock:
            self._is_training, self._progress_at = True, time.monotonic()
        try:
            yield
        finally:
            self._is_training = False

    def finish(self, failure: BaseException | None = None) -> None:
        """Its turn is over, by an error or without."""
        with self._lock:
            self._is_training, self._is_done = False, True
            self._failure = self._failure or failure

    def start_commit(self) -> None:
        """It is fitted, and its lease is needed until `end_commit`."""
        with self._lock:
            self._is_committing, self._progress_at = True, time.monotonic()

    def end_commit(self) -> None:
        """Its row says how it has ended."""
        self._is_committing = False

    def start_epoch(self) -> None:
        """Before the first batch of an epoch."""
        self._epoch_started_at = time.monotonic()

    def end_epoch(self) -> float:
        """After an epoch; its seconds."""
        with self._lock:
            self._progress_at = at = time.monotonic()
            seconds = at - (self._epoch_started_at or at)
            self._epoch_s = min(seconds, self._epoch_s or seconds)
            self._epochs_s.append(seconds)
            self._epochs_done += 1
        return seconds

    @property
    def epoch_seconds(self) -> float | None:
        """Median of this attempt's epochs. The first, which may trace, counts only if alone."""
        with self._lock:
            known = list(self._epochs_s)
            if 1 < self._epochs_done == len(known):
                known = known[1:]
        return statistics.median(known) if known else None

    def show_progress(self) -> None:
        """It waits or works, and does not hang."""
        self._progress_at = time.monotonic()

    def check(self) -> None:
        """Between batches: shows progress. Raises Interrupted when the fit has to stop here."""
        with self._lock:
            self._batches += 1
            self._progress_at = at = time.monotonic()
            stop = self._stop
        if stop is not None and at >= stop.deadline:
            raise Interrupted(stop.reason)

    def ignore_standstill(self, seconds: float) -> None:
        """So long the whole process stood still, which is no stall of the fit."""
        with self._lock:
            self._progress_at += seconds

    def finish_soon(self) -> None:
        """Let the fit end with this epoch as if it was its last."""
        self._is_to_finish = True

    @property
    def is_to_finish(self) -> bool:
        """Whether a budget is spent, and no further epoch is to begin."""
        return self._is_to_finish

    def end_soon(self, reason: StopReason, grace_s: float) -> None:
        """Order the fit to end: at the end of this epoch if that comes within `grace_s`.

        An order given before stays, except that a lost lease overrules all.
        """
        with self._lock:
            if self._stop is not None and reason is not StopReason.LOST:
                return
            at = time.monotonic()
            deadline = at + grace_s
            if self._epoch_s is not None and self._epoch_started_at is not None:
                comes_at = self._epoch_started_at + self._epoch_s
                deadline = deadline if comes_at < deadline else at
            self._stop = Stop(reason, deadline)
