"""Job: a handle on one job. What it says comes from the database, weights from the storage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from rich.console import Console

from fitfleet.analysis.curves import frame
from fitfleet.client import logs as log_files
from fitfleet.client.display import Display
from fitfleet.client.labels import shown
from fitfleet.client.wait import wait_for
from fitfleet.db import code as code_table
from fitfleet.db import jobs as job_table
from fitfleet.db import labels as label_table
from fitfleet.db import lookup
from fitfleet.db.labels import Labels
from fitfleet.db.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import JobFailedError, MissingExtraError, NotFoundError, StateError
from fitfleet.scheduler import explain as explaining
from fitfleet.scheduler.explain import Explanation
from fitfleet.settings import Settings
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.job import JobSpec
from fitfleet.states import JobStatus
from fitfleet.storage import Storage
from fitfleet.text import html_table, printable, printable_lines

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class JobError:
    """Why a job failed. `kind` is a states.FailureClass."""

    kind: str
    message: str
    traceback: str

    def __str__(self) -> str:
        return printable_lines(f"{self.kind}: {self.message}")


class Job:
    """A job of a fleet.

    Plain fields (`params`, `epoch`, `attempt`, ...) are as of the last `refresh()`; `status`
    reads again until the job has ended; `history`, `scores`, `attempts` and `events` read each
    time. All may raise DatabaseError.
    """

    def __init__(
        self, database: Database, settings: Settings, row: JobRow, *, is_reused: bool = False
    ) -> None:
        self._database = database
        self._settings = settings
        self._row = row
        self.is_reused = is_reused
        """Whether submit found this very content in the experiment and queued nothing."""

    def __repr__(self) -> str:
        row = self._row
        params = "".join(f", {name}={value!r}" for name, value in row.params.items())
        failure = f", failure={row.failure_class!r}" if row.failure_class else ""
        return printable(
            f"<Job {row.id} {row.experiment!r} {row.status}"
            f" epoch {row.epoch}/{row.epochs}, seed={row.seed}{params}{failure}>"
        )

    def _repr_html_(self) -> str:
        row = self._row
        facts = {
            "job": f"{row.id} in {row.experiment}",
            "status": row.status.value,
            "params": " ".join(f"{name}={shown(value)}" for name, value in row.params.items()),
            "seed": row.seed,
            "epochs": f"{row.epoch} of {row.epochs}",
            "loss": "" if row.nan_epoch is None else f"not finite from epoch {row.nan_epoch} on",
            "weights of": "" if row.shown_epoch == row.epoch else f"epoch {row.shown_epoch}",
            "failure": f"{row.failure_class}: {row.failure_message}" if row.failure_class else "",
        }
        return html_table([], [pair for pair in facts.items() if pair[1] != ""])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Job)
            and other.id == self.id
            and other._settings.database_url == self._settings.database_url
        )

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> int:
        """The number of the job in its database."""
        return self._row.id

    @property
    def experiment(self) -> str:
        return self._row.experiment

    @property
    def params(self) -> dict[str, Any]:
        """What the user said he varies; shown and compared, never computed with."""
        return dict(self._row.params)

    @property
    def seed(self) -> int:
        return self._row.seed

    @property
    def epochs(self) -> int:
        """Epochs asked for."""
        return self._row.epochs

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._row.epoch

    @property
    def attempt(self) -> int:
        """Number of the latest attempt; 0 before the first."""
        return self._row.attempt

    @property
    def seconds(self) -> float:
        """Time spent in attempts that were not lost."""
        return self._row.seconds

    @property
    def row(self) -> JobRow:
        """All columns as of the last refresh."""
        return self._row

    @property
    def status(self) -> JobStatus:
        """Where the job stands now. A status that has ended is remembered until `refresh()`."""
        if not self._row.status.is_terminal:
            self.refresh()
        return self._row.status

    def refresh(self) -> Job:
        """Read the job's row again."""
        with self._database.read() as c:
            row = lookup.job(c, self.id)
        if row is None:
            raise NotFoundError(f"job {self.id} does not exist any more; it was removed")
        self._row = row
        return self

    def update(self, row: JobRow) -> None:
        """Take over a row that was read with others."""
        self._row = row

    def wait(self, timeout_s: float | None = None, *, raise_on_failure: bool = False) -> Job:
        """Block until the job has ended, and show meanwhile how it goes; the handle is fresh then.

        WaitTimeoutError after `timeout_s`; JobFailedError if it failed and that was asked for.
        """
        display = Display(Console(stderr=True))
        with display.shown():
            wait_for(
                self._database,
                [self.id],
                timeout_s=timeout_s,
                on_snapshot=display.draw,
                snapshot_s=display.every_s,
            )
        self.refresh()
        display.conclude([self._row])
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
            found = lookup.scores_of(c, [self.id]).get(self.id, {})
        return {name: float("nan") if value is None else value for name, value in found.items()}

    def why(self) -> Explanation:
        """Why the job waits, what goes first, when it should start; printed, a sentence.

        The reasons come in the order in which the dispatcher asks.
        """
        return explain(self)

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
            return lookup.attempts_of(c, self.id)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened to the job, first first."""
        with self._database.read() as c:
            return lookup.events_of(c, self.id)

    @property
    def spec(self) -> JobSpec:
        """All that decides the numbers of the fit."""
        with self._database.read() as c:
            found = lookup.documents(c, self.id)
        if found is None:
            raise NotFoundError(f"the specification of job {self.id} was removed")
        return JobSpec.from_canonical(found[0])

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

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """The fitted weights by path, as NumPy arrays; no TensorFlow is loaded.

        StateError before the job has succeeded, StorageError if the file cannot be read.
        """
        from fitfleet.weights.files import read_weights

        return read_weights(self.weights_path, self._settings, self._row.artifact_sha256)

    def load_model(self) -> Any:
        """The fitted model as a compiled Keras object; needs the extra `worker`.

        The file and the specification in it are checked as at submit: SpecError, StorageError.
        """
        from fitfleet.worker.state.weights import load_model

        with self._with_code() as settings:
            return load_model(self.weights_path, settings, self._row.artifact_sha256)

    def predict(self, x: Any, *, batch_size: int = 32) -> Any:
        """Keras's `predict` of the fitted model, in this process; needs the extra `worker`.

        `x` is an array, or arrays as the model's inputs are. DatasetError if they do not fit.
        """
        from fitfleet.worker.predict import predict

        return predict(self.load_model(), x, self.spec, batch_size)

    def evaluate(self, dataset: Any, *, batch_size: int = 32) -> dict[str, float]:
        """Loss and metrics of the fitted model on other data, in this process.

        `dataset` is `(x, y)` or `(x, y, sample_weight)`, or a dataset by its path, whose x and y
        are taken. DatasetError if they do not fit.
        """
        from fitfleet.worker.predict import evaluate

        return evaluate(self.load_model(), dataset, self.spec, self._settings, batch_size)

    def export(self, path: str | Path) -> Path:
        """Write the model as `.keras`, `.h5` (Keras's older whole-model file), `.weights.h5`,
        `.json`, or as TensorFlow's SavedModel into a folder, a path without a suffix.

        The file is read again before it gets its name. SpecError for another suffix and for a
        model that the format cannot hold, StorageError if it cannot be written.
        """
        try:
            from fitfleet.worker.state.export import export
        except ModuleNotFoundError:
            raise MissingExtraError("keras", "worker") from None
        with self._with_code() as settings:
            return export(self.weights_path, Path(path), settings, self._row.artifact_sha256)

    @property
    def code(self) -> dict[str, str]:
        """The source of the user's code that the job runs: path -> text; empty if it runs none."""
        sha256 = self.spec.code
        if sha256 is None:
            return {}
        with self._database.read() as c:
            stored = code_table.read(c, sha256)
        if stored is None:
            raise NotFoundError(f"the code of job {self.id} was removed")
        files = Snapshot.from_archive(stored.archive).files
        return {path: text.decode(errors="replace") for path, text in sorted(files.items())}

    def _with_code(self) -> AbstractContextManager[Settings]:
        spec = self.spec
        if spec.code is None:
            return nullcontext(self._settings)
        from fitfleet.worker.code import borrowed

        return borrowed(spec, self._database, self._settings)

    @property
    def weights_path(self) -> Path:
        """The HDF5 file with weights, optimizer, specification and history."""
        return Storage(Path(self._settings.storage).absolute()).absolute(self._artifact())

    def _artifact(self) -> str:
        row = self._row if self._row.artifact_path else self.refresh()._row
        if row.artifact_path is None:
            raise StateError(
                f"job {row.id} has no weights: it is {row.status}; wait for it, or see its error"
            )
        return row.artifact_path

    def cancel(self) -> JobStatus:
        """Cancel the job: at once if it waits, at its next heartbeat if it runs.

        Its last checkpoint stays. Returns where it stands; a job that had ended stays as it is.
        """
        with self._database.begin() as c:
            job_table.cancel(c, self.id)
        return self.refresh()._row.status

    def set_priority(self, priority: int) -> Job:
        """Let the job go before those with a lower priority. StateError if it has ended."""
        with self._database.begin() as c:
            if not job_table.set_priority(c, self.id, priority):
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
        """Go on with a succeeded job until it has `epochs` epochs, as the same job.

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


def explain(job: Job) -> Explanation:
    """Why a job is where it is: for scripts, `fitfleet why` and the dashboard alike."""
    return explaining.explain(job._database, job._settings, job.id)
