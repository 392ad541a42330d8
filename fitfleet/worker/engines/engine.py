"""The interface of engines, which train jobs an epoch at a time.

Callbacks, early stopping, NaN, averaged weights, records, checkpoints and stops are not theirs: the
one training loop (worker/fit.py) does all that in one order. Rules of every engine, so that the
numbers of a job do not depend on the engine that trains it:

- a fresh job has the weights of `build.build` (seeded by `seeding.mix(seed, "init")` just before);
- the rows of epoch e are taken in `seeding.order(seed, e, rows)`;
- before an epoch every SeedGenerator is set (`seeding.seed_state`), and RNN states are reset as the
  spec says; a validation has separate RNN states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fitfleet.worker.logs import Logs
from fitfleet.worker.prepared_job import PreparedJob

OnProgress = Callable[[], None]


class CannotTrace(Exception):
    """An engine cannot trace its program for a job; `str()` says why, for the row."""


@dataclass(frozen=True)
class Trained:
    """The result of an epoch of one job."""

    logs: Logs
    last_step: int = 0  # smaller than usual where a loss that is not finite ended the epoch
    last_loss: float | None = None  # the running loss after it; None: callbacks saw each batch


class Session(Protocol):
    """Jobs that are open in an engine. `close` must follow, whatever happens."""

    def start(self, job: PreparedJob, callbacks: Sequence[Any]) -> Any:
        """Set a job to its start or its checkpoint; the model for its callbacks.

        Called once for each job, before the first epoch. An engine that trains batch by batch
        calls the batch methods of the callbacks, and no others.
        """

    def begin_epoch(self, epochs: Sequence[int]) -> None:
        """Set seeds and states; `epochs`, from 0, are those of the open jobs, in their order."""

    def train(self, on_progress: OnProgress) -> Sequence[Trained]:
        """Train the epoch of every open job. `on_progress` is called at least twice a second,
        unless a batch takes longer; an error that it raises ends the epoch.
        """

    def validate(self, on_progress: OnProgress) -> Sequence[Logs] | None:
        """Logs of the validation arrays; None if there are none."""

    def model(self, job: PreparedJob) -> Any:
        """A compiled Keras model with this job's weights, optimizer and RNN states.

        It may be evaluated and saved until the next call of this session, but not trained.
        """

    def evaluate(self, job: PreparedJob, on_progress: OnProgress) -> Logs | None:
        """Logs of the test arrays, as `evaluate` of the model that `model(job)` has just returned.

        None if there are none, or Keras's `evaluate` has to be called.
        """

    def keep(self, jobs: Sequence[PreparedJob]) -> None:
        """Train only these jobs from now on."""

    def close(self, *, is_intact: bool) -> None:
        """End the session. Not intact: an error may have left the models in any state."""


class Engine(Protocol):
    """Trains the jobs of a cohort, an epoch at a time, without callbacks and records."""

    name: str  # fit, loop or fused, for the row
    trains_together: bool  # all jobs of a session at once; or one after the other
    fallback: Engine | None  # trains what this one cannot trace

    def open(self, jobs: Sequence[PreparedJob]) -> Session:
        """A session for jobs of one architecture. CannotTrace: train them by the fallback."""
