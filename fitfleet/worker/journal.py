"""What the training loop reports of its fits: the interface of the recorder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from fitfleet.worker.control import JobControl
from fitfleet.worker.prepared_job import PreparedJob

if TYPE_CHECKING:
    from fitfleet.worker.engines.choice import Choice
    from fitfleet.worker.fit import Fit


class Journal(Protocol):
    """What is recorded of fits, and how errors end them."""

    def output(self, control: JobControl) -> AbstractContextManager[None]:
        """Send what is printed to the job's log."""

    def guard(self, control: JobControl) -> AbstractContextManager[None]:
        """Record an error inside as the end of this job, and suppress it."""

    def hold(self, control: JobControl) -> AbstractContextManager[None]:
        """`output` and `guard` together, for all work on one job."""

    def begin(self, choice: Choice, jobs: Sequence[PreparedJob]) -> None:
        """Begin the attempts of some jobs of a choice, and record their engine.

        A job that went elsewhere while it waited has ended then.
        """

    def measure(self, engine: str, jobs: Sequence[PreparedJob]) -> None:
        """Measure the device's memory for these jobs, which are trained at once from now on."""

    def epoch(self, fit: Fit, logs: dict[str, float], seconds: float) -> None:
        """An epoch has been trained; it is in the history already."""

    def is_due(self, fit: Fit) -> bool:
        """Whether a checkpoint is to be written after this epoch."""

    def checkpoint(self, fit: Fit, model: Any) -> None:
        """Write one; the model holds the job's variables."""
