"""The fitted model of a job: its specification, code, weights, predictions and exports."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from fitfleet.client import files, tasks
from fitfleet.client.files import JobFile
from fitfleet.client.job_row import JobHandle
from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.specs import code as code_table
from fitfleet.errors import (
    FitfleetError,
    MissingExtraError,
    NotFoundError,
    StateError,
)
from fitfleet.settings import Settings
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.job import DatasetSpec, JobSpec, Task
from fitfleet.states import JobStatus
from fitfleet.storage import Storage

if TYPE_CHECKING:
    import numpy as np

Where = Literal["auto", "here", "fleet"]


def is_here(where: Where) -> bool:
    """Whether this process is to compute it. FitfleetError for another word."""
    if where not in get_args(Where):
        raise FitfleetError(f"where: {where!r:.40} is not one of {', '.join(get_args(Where))}")
    has_keras = importlib.util.find_spec("tensorflow") is not None
    return where == "here" or (where == "auto" and has_keras)


class FittedJob(JobHandle):
    """What a job computes, read from the database and the storage."""

    @property
    def spec(self) -> JobSpec:
        """All that decides the numbers of the fit."""
        with self._database.read() as c:
            documents = lookup.documents(c, self.id)
        if documents is None:
            raise NotFoundError(f"the specification of job {self.id} was removed")
        return JobSpec.from_canonical(documents[0])

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
        spec = self._fit()
        if spec.code is None:
            return nullcontext(self._settings)
        from fitfleet.worker.user_code.loading import borrowed

        return borrowed(spec, self._database, self._settings)

    @property
    def weights_path(self) -> Path:
        """The HDF5 file with weights, optimizer, specification and history.

        Of a storage behind a URL it is this machine's copy, whose sha256 is checked. StorageError.
        """
        path = self._artifact()
        return Storage.of(self._settings).local(path, self._row.artifact_sha256)

    def _artifact(self) -> str:
        row = self._row if self._row.artifact_path else self.refresh()._row
        if row.artifact_path is None:
            raise StateError(
                f"job {row.id} has no weights: it is {row.status}; wait for it, or see its error"
            )
        return row.artifact_path

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """The fitted weights by path, as NumPy arrays; no TensorFlow is loaded.

        StateError before the job has succeeded, StorageError if the file cannot be read.
        """
        from fitfleet.weights.files import read_weights

        self._fit()
        return read_weights(self.weights_path, self._settings, self._row.artifact_sha256)

    @property
    def files(self) -> list[JobFile]:
        """What `ModelCheckpoint`, `CSVLogger` and `TensorBoard` wrote, by name: `file.name`,
        `file.size_bytes`, `file.sha256`, `file.read()`, `file.copy(path)`; empty if no callback
        wrote any.

        Of a job that has not succeeded they are those of its newest checkpoint, which is first
        written as soon as there are files, at the end of the epoch; if its training raised an
        error, those of that moment. StorageError if they cannot be read.
        """
        self._fit()
        return files.newest(self._file_of_callbacks, self._settings)

    def _file_of_callbacks(self) -> tuple[Path, str | None] | None:
        """Where they are, and the sha256 of that file; None where none was written yet."""
        row = self.refresh()._row
        if row.status is JobStatus.SUCCEEDED:
            return self.weights_path, row.artifact_sha256
        if row.checkpoint_path is None:
            return None
        return self._checkpoint(row.checkpoint_path), row.checkpoint_sha256

    def _checkpoint(self, path: str) -> Path:
        return Storage.of(self._settings).local(path, self._row.checkpoint_sha256)

    def load_model(self) -> Any:
        """The fitted model as a compiled Keras object; needs the extra `worker`.

        The file and the specification in it are checked as at submit: SpecError, StorageError.
        """
        from fitfleet.worker.state.weights import load_model

        with self._with_code() as settings:
            return load_model(self.weights_path, settings, self._row.artifact_sha256)

    def predict(
        self,
        x: Any,
        batch_size: int = 32,
        *,
        where: Where = "auto",
        stream: bool = False,
        **keras_arguments: Any,
    ) -> Any:
        """Keras's `predict` of the fitted model: NumPy arrays in the structure of its outputs.

        `x` is an array, or arrays as the model's inputs are, or names a dataset, whose x is taken.
        `where`: "here", in this process, with the extra `worker`; "fleet", by a worker, as a job of
        its own that the experiment `<experiment>-evaluations` lists; "auto", here where TensorFlow
        is installed. With `stream` an iterator of parts, some batches each, for what is larger
        than the memory. SpecError for another argument of Keras's, DatasetError if x does not fit,
        JobFailedError if the worker fails.
        """
        tasks.check_keras_arguments(keras_arguments)
        if is_here(where):
            from fitfleet.worker.models import predict as here

            x = tasks.in_files(x, self._settings)
            act = here.stream if stream else here.predict
            return act(self.load_model(), x, self.spec, self._settings, batch_size)
        result = self._run_task(self._task("predict"), self._fit(), x, batch_size)
        return result.stream(batch_size) if stream else result.predictions()

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        *,
        sample_weight: Any = None,
        where: Where = "auto",
        **keras_arguments: Any,
    ) -> dict[str, float]:
        """Keras's `evaluate` of the fitted model on other data: loss and metrics by their names.

        `x` and `y` are arrays, as Keras takes them; or `x` alone is `(x, y)`,
        `(x, y, sample_weight)`, batches, or a dataset by its path, whose x and y
        are taken. `where` is as in `predict`; on the fleet the numbers are in SQL, as the test
        scores of that job. SpecError for another argument of Keras's, DatasetError if the data do
        not fit, JobFailedError if the worker fails.
        """
        dataset = tasks.to_evaluate(x, y, sample_weight, keras_arguments)
        if is_here(where):
            from fitfleet.worker.models.predict import evaluate

            dataset = tasks.in_files(dataset, self._settings)
            return evaluate(self.load_model(), dataset, self.spec, self._settings, batch_size)
        task = self._task("evaluate")
        return self._run_task(task, self._fit(), dataset, batch_size).metrics

    def _task(self, kind: tasks.Kind) -> Task:
        return Task(kind=kind, job=self.id, sha256=self._digest())

    def _run_task(self, task: Task, spec: JobSpec, data: Any, batch_size: int) -> tasks.TaskResult:
        """Have a worker do it with what a user gave; `spec` is that of the fit."""
        size = tasks.checked_batch_size(batch_size)
        dataset = tasks.dataset_of(task.kind, data, self._settings)
        wanted = tasks.specification(spec, task, dataset, size)
        return tasks.run_task(
            self._database, self._settings, self._row, wanted, starting=self._starting
        )

    def _queue_task(
        self, task: Task, dataset: DatasetSpec, batch_size: int
    ) -> tuple[JobRow, list[str]]:
        """Queue it for a client of the API, whose paths are below the data root."""
        size = tasks.checked_batch_size(batch_size)
        wanted = tasks.specification(self._fit(), task, dataset, size)
        return tasks.queue_task(
            self._database, self._settings, self._row, wanted, data_root_only=True
        )

    def _dataset_here(self) -> DatasetSpec:
        """The dataset of the fit, as this machine reads it."""
        return self.spec.dataset

    def _digest(self) -> str:
        """The sha256 of its weights, for the worker's check. StateError."""
        self._artifact()
        digest = self._row.artifact_sha256
        if digest is None:
            raise StateError(
                f"job {self.id} is of a version that kept no sha256; retry it, or use where='here'"
            )
        return digest

    def _fit(self) -> JobSpec:
        """The specification of a fit, which has weights. StateError for a job without one."""
        spec = self.spec
        if spec.task is not None:
            raise StateError(
                f"job {self.id} did only {spec.task.kind}, and has no weights; those are of job"
                f" {spec.task.job}"
            )
        return spec

    def export(self, path: str | Path) -> Path:
        """Write the model as `.keras`, `.h5` (Keras's older whole-model file), `.weights.h5`,
        `.json`, `.tflite`, `.onnx` (extra `onnx`), or as TensorFlow's SavedModel into a folder, a
        path without a suffix.

        The file is read again before it gets its name. MissingExtraError without its converter,
        SpecError for another suffix and for a
        model that the format cannot hold, StorageError if it cannot be written.
        """
        try:
            from fitfleet.worker.state.export import export
        except ModuleNotFoundError:
            raise MissingExtraError("keras", "worker") from None
        with self._with_code() as settings:
            return export(self.weights_path, Path(path), settings, self._row.artifact_sha256)
