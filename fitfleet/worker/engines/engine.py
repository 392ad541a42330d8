"""The engine seam: what advances jobs by epochs, and what stands around it.

An engine knows how to train. It does not know SQL, files, leases or evaluation: it calls the
hooks (worker/fit.py), which are written once. Rules that every engine keeps, so that the numbers
of a job do not depend on the way it ran:

- the model is built by `build.build` (seeded by `order.mix(seed, "init")` just before);
- the rows of epoch e are taken in `order.order(seed, e, rows)`;
- before an epoch every SeedGenerator is set (`order.seed_state`), RNN states are reset as the
  spec says, and only then the callbacks' `on_epoch_begin` run;
- `member.callbacks` are Keras's own; their state is restored (`resume.restore_callbacks`) after
  their `on_train_begin`, which resets them;
- `hooks.epoch_end` is called after the callbacks' `on_epoch_end`, `hooks.train_end` after their
  `on_train_end`;
- each member is trained inside `with hooks.running(member)`, which keeps its end, whatever it
  is, from touching the other members; afterwards `member.is_done` is true. It begins with
  `hooks.batch_end(member)`, since the member may have been stopped while it waited.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fitfleet.data.arrays import Arrays
    from fitfleet.db.leases import Claim
    from fitfleet.spec.job import JobOptions, JobSpec
    from fitfleet.worker.state.checkpoint import Snapshot


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
    """Raised by the hooks inside the fit to carry out a Stop."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(f"the fit was stopped: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class EpochLogs:
    """Keras's logs after one epoch. `epoch` counts from 0, as Keras does."""

    epoch: int
    logs: dict[str, float]


@dataclass(eq=False)
class Member:
    """One job inside a worker child, from its claim to its end."""

    claim: Claim
    spec: JobSpec
    options: JobOptions
    arrays: Arrays  # x, y, sample_weight, *_val, *_test; validation split and fold applied
    callbacks: list[Any] = field(default_factory=list)  # keras.callbacks.Callback, the user's
    snapshot: Snapshot | None = None  # checkpoint to go on from; None: from the start
    history: list[EpochLogs] = field(default_factory=list)  # of all attempts
    stop: Stop | None = None  # set by other threads, read between batches
    is_running: bool = False  # it is its turn in this child
    is_done: bool = False  # no engine has anything left to do for it
    is_ending: bool = False  # fitted, and its commit is under way
    engine: str = "fit"
    engine_reason: str = ""
    # Plain counters, written by the training thread and read by the lease's.
    batches: int = 0
    progress_at: float = field(default_factory=time.monotonic)
    epoch_began_at: float | None = None
    epoch_s: float | None = None  # duration of the quickest whole epoch
    began_at: float | None = None  # when its turn came; before it waited for its cohort
    checkpoint_at: float = field(default_factory=time.monotonic)  # of the last one written
    checkpoint_epoch: int = 0  # epochs contained in the last checkpoint that was committed

    @property
    def first_epoch(self) -> int:
        """Epoch to start with, counted from 0."""
        return self.snapshot.epoch if self.snapshot else 0

    @property
    def has_stopped(self) -> bool:
        """Whether a callback had ended the fit before the checkpoint was written."""
        return bool(self.snapshot and self.snapshot.has_stopped)

    @property
    def is_trained(self) -> bool:
        """Whether no epoch is left to train; only `on_train_end` and the evaluation are."""
        return self.has_stopped or self.first_epoch >= self.spec.epochs

    @property
    def seconds(self) -> float:
        """What this attempt has used up so far; nothing while it waits for its turn."""
        return 0.0 if self.began_at is None else time.monotonic() - self.began_at

    def end_soon(self, reason: StopReason, grace_s: float) -> None:
        """Order the fit to end: at the end of this epoch if that comes within `grace_s`.

        Safe in a signal handler and from other threads. An order given before stays, except that
        a lost lease overrules all.
        """
        if self.stop is not None and reason is not StopReason.LOST:
            return
        at = time.monotonic()
        deadline = at + grace_s
        if self.epoch_s is not None and self.epoch_began_at is not None:
            comes_at = self.epoch_began_at + self.epoch_s
            deadline = deadline if comes_at < deadline else at
        self.stop = Stop(reason, deadline)

    @property
    def is_held(self) -> bool:
        """Whether its lease is still needed."""
        return not self.is_done or self.is_ending

    @property
    def key(self) -> tuple[int, int]:
        """(job id, attempt): what fences every write."""
        return (self.claim.job_id, self.claim.attempt)


class MemberState(Protocol):
    """What an engine hands to the hooks: access to a member's variables at this moment."""

    @property
    def has_stopped(self) -> bool:
        """Whether a callback asked to end the fit (`model.stop_training`)."""

    def model(self) -> Any:
        """A compiled Keras model holding this member's weights, optimizer and RNN states.

        Valid until the hook returns; the hook may evaluate it, but trains it no further.
        """


class Hooks(Protocol):
    """Written once in worker/fit.py; an engine only calls them."""

    def running(self, member: Member) -> AbstractContextManager[None]:
        """Holds all that is done for one member; any error inside ends this member only."""

    def preparing(self, member: Member) -> AbstractContextManager[None]:
        """Holds a part of what is done for a member; only an error inside ends it."""

    def epoch_begin(self, member: Member, epoch: int) -> None:
        """Before the first batch of an epoch."""

    def batch_end(self, member: Member) -> None:
        """Between batches (or whole epochs, for an epoch program). Raises Interrupted."""

    def epoch_end(
        self, member: Member, epoch: int, logs: dict[str, float], state: MemberState
    ) -> bool:
        """Records and checkpoints. True: a callback has ended the fit. Raises Interrupted."""

    def train_end(self, member: Member, state: MemberState) -> None:
        """Evaluates and saves the member while its variables are at hand; the commit follows."""


class Engine(Protocol):
    """A way to train members."""

    name: str  # fit, reuse, loop, fused

    def fit(self, members: Sequence[Member], hooks: Hooks) -> None:
        """Trains every member that is not done to its end."""
