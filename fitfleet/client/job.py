"""Job: a handle on one job. What it says comes from the database, weights from the storage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from rich.console import Console

from fitfleet.analysis.curves import frame
from fitfleet.analysis.lineage import lineage_frame
from fitfleet.client import logs as log_files
from fitfleet.client.display.display import Display
from fitfleet.client.fitted_job import FittedJob
from fitfleet.client.wait import wait_for
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.jobs import labels as label_table
from fitfleet.db.jobs.labels import Labels
from fitfleet.db.jobs.priority import set_priority
from fitfleet.db.reading import lookup
from fitfleet.db.reading.attempts import attempts_of
from fitfleet.db.sweeps.lineage import ancestors
from fitfleet.errors import JobFailedError, StateError
from fitfleet.scheduler import explain as explaining
from fitfleet.scheduler.explain import Explanation
from fitfleet.states import JobStatus
from fitfleet.text import printable_lines

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class JobError:
    """Why a job failed. `kind` is a states.FailureClass."""

    kind: str
    message: str
    traceback: str

    def __str__(self) -> str:
        return printable_lines(f"{self.kind}: {self.message}")


class Job(FittedJob):
    """A job of a fleet.

    Plain fields (`params`, `epoch`, `attempt`, ...) are as of the last `refresh()`; `status`
    reads again until the job has ended; `history`, `scores`, `attempts` and `events` read each
    time. All may raise DatabaseError.
    """

    def wait(self, timeout_s: float | None = None, *, raise_on_failure: bool = False) -> Job:
        """Block until the job has ended, and show meanwhile how it goes; the handle is fresh then.

        WaitTimeoutError after `timeout_s`; JobFailedError if it failed and that was asked for.
        """
        display = Display(Console(stderr=True))
        with display.shown():
            wait_for(
                self._database,
                [self.id],
                self._settings.lease_s,
                timeout_s=timeout_s,
                on_snapshot=display.draw,
                snapshot_s=display.every_s,
            )
        self.refresh()
        row = self._row
        failed = [row] if row.status is JobStatus.FAILED else []
        display.conclude({row.status: 1}, failed, is_raised=raise_on_failure)
        if raise_on_failure and self._row.status is JobStatus.FAILED:
            raise JobFailedError(f"job {self.id} failed: {self.error}")
        return self

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: `epoch` (1 is the first), then `loss`, metrics, `val_loss`, ..."""
        with self._database.read() as c:
            points = lookup.curve(c, self.id)
        return frame(points)

    @property
    def scores(self) -> dict[str, float]:
        """Scores after the fit: `test_loss`, `test_accuracy`, ..., and those of evaluators."""
        with self._database.read() as c:
            scores = lookup.scores_of(c, [self.id]).get(self.id, {})
        return {name: float("nan") if value is None else value for name, value in scores.items()}

    def why(self) -> Explanation:
        """Why the job waits, what goes first, when it should start; printed, a sentence.

        The reasons come in the order in which the dispatcher checks.
        """
        return explaining.explain(self._database, self._settings, self.id)

    @property
    def error(self) -> JobError | None:
        """Why the job failed; None while it has not."""
        row = self._row if self._row.status.is_terminal else self.refresh()._row
        if row.failure_class is None or row.status is not JobStatus.FAILED:
            return None
        return JobError(row.failure_class, row.failure_message or "", row.failure_traceback or "")

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Each attempt: worker, first epoch, outcome, environment, seconds."""
        with self._database.read() as c:
            return attempts_of(c, self.id)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened to the job, first first."""
        with self._database.read() as c:
            return lookup.events_of(c, self.id)

    @property
    def lineage(self) -> pd.DataFrame:
        """The jobs whose fits this one continues, in population-based training; itself is last.

        A row each, with the columns of the view `lineage`; none for a job of another kind.
        """
        with self._database.read() as c:
            return lineage_frame(ancestors(c, self.id))

    @overload
    def logs(self, *, follow: Literal[False] = False) -> str: ...

    @overload
    def logs(self, *, follow: Literal[True]) -> Iterator[str]: ...

    def logs(self, *, follow: bool = False) -> str | Iterator[str]:
        """What the job printed, in its latest attempt.

        With `follow`, an iterator of pieces of text that ends when the job has. On a machine
        that does not see the log folder it is the tail that the worker left in the database.
        """
        if not follow:
            return log_files.text(self._settings, self.refresh()._row, self.attempts)
        return self._follow()

    def _follow(self) -> Iterator[str]:
        seen: dict[int, int] = {}
        while True:
            row = self.refresh()._row
            yield from log_files.news(self._settings, row, seen)
            if row.status.is_terminal:
                if not seen:
                    yield log_files.text(self._settings, row, self.attempts)
                return
            time.sleep(0.2)

    def cancel(self) -> JobStatus:
        """Cancel the job: at once if it waits, at its next heartbeat if it runs.

        Its last checkpoint stays. Returns its state; a job that had ended stays as it is.
        """
        with self._database.begin() as c:
            job_table.cancel(c, self.id)
        return self.refresh()._row.status

    def set_priority(self, priority: int) -> Job:
        """Let the job go before those with a lower priority. StateError if it has ended."""
        with self._database.begin() as c:
            if not set_priority(c, self.id, priority):
                raise StateError(f"job {self.id} has ended; its priority no longer matters")
        return self.refresh()

    def tag(self, *names: str) -> tuple[str, ...]:
        """Put tags on the job; those it has then. FitfleetError for one that is no short word."""
        with self._database.begin() as c:
            return label_table.tag(c, self.id, add=names)

    def untag(self, *names: str) -> tuple[str, ...]:
        """Take tags off; those it has then."""
        with self._database.begin() as c:
            return label_table.tag(c, self.id, remove=names)

    def write_note(self, text: str) -> None:
        """Replace the note; an empty text removes it."""
        with self._database.begin() as c:
            label_table.note(c, self.id, text)

    @property
    def labels(self) -> Labels:
        """Its `tags` and `note`."""
        with self._database.read() as c:
            return label_table.labels_of(c, [self.id]).get(self.id, Labels())

    def retry(self) -> Job:
        """Queue a failed, cancelled or pruned job again, from its checkpoint if there is one.

        StateError if the job has not ended or has succeeded.
        """
        with self._database.begin() as c:
            is_queued = job_table.retry(c, self.id)
        self.refresh()
        if not is_queued:
            raise StateError(
                f"job {self.id} is {self._row.status}; only a failed, cancelled or pruned job"
                " can be retried"
            )
        return self

    def extend(self, *, epochs: int) -> Job:
        """Continue a succeeded job until it has `epochs` epochs, as the same job.

        StateError if the job has not succeeded, or has that many epochs already.
        """
        with self._database.begin() as c:
            is_queued = job_table.extend(c, self.id, epochs)
        self.refresh()
        if not is_queued:
            raise StateError(
                f"job {self.id} is {self._row.status} with {self._row.epochs} epochs; only a"
                f" succeeded job can be extended, and {epochs} must be more than it has"
            )
        return self
