"""Asking workers of the fleet for what a fitted model predicts, or how good it is, as a job."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from fitfleet.client.display.display import Display
from fitfleet.client.display.reading_progress import Reading
from fitfleet.client.wait import wait_for
from fitfleet.client.wait_reasons import without_worker
from fitfleet.data.ingest.batch_iterables import is_batches, joined
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.data.ingest.stored_arrays import written
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import DatasetError, JobFailedError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.code.names import named
from fitfleet.spec.datasets.dataset import dataset_spec, inputs_only, names_a_dataset, training_only
from fitfleet.spec.datasets.files import Files
from fitfleet.spec.datasets.folders import Folder
from fitfleet.spec.datasets.records import TFRecord
from fitfleet.spec.job import DatasetSpec, JobSpec, Task
from fitfleet.spec.keywords import CHECKS
from fitfleet.spec.submission import job_options
from fitfleet.states import JobStatus
from fitfleet.storage import PREDICTIONS, Storage
from fitfleet.submit import Submission
from fitfleet.weights.files import checked, opened, read_document

_NAME = 128
Kind = Literal["predict", "evaluate"]


class TaskResult:
    """A job without a fit that workers have done: its scores are in SQL, predictions in a file."""

    def __init__(self, database: Database, settings: Settings, row: JobRow) -> None:
        self._database, self._settings, self._row = database, settings, row

    @property
    def metrics(self) -> dict[str, float]:
        """Loss and metrics by Keras's names."""
        return {
            name.removeprefix("test_"): float("nan") if value is None else value
            for name, value in self._scores().items()
        }

    def _scores(self) -> dict[str, float | None]:
        with self._database.read() as c:
            return lookup.scores_of(c, [self._row.id]).get(self._row.id, {})

    def predictions(self) -> Any:
        """All of them, in the structure of the model's outputs. StorageError."""
        path, outputs = self._file()
        with opened(path, self._settings) as file:
            return _read(file[PREDICTIONS], outputs, slice(None))

    def stream(self, rows: int) -> Iterator[Any]:
        """The same, some rows at a time."""
        path, outputs = self._file()
        with opened(path, self._settings) as file:
            group = file[PREDICTIONS]
            for start in range(0, len(group["0"]), rows):
                yield _read(group, outputs, slice(start, start + rows))

    def _path(self) -> Path:
        return _path(self._settings, self._row)

    def _file(self) -> tuple[Path, Any]:
        path = self._path()
        checked(path, self._settings, self._row.artifact_sha256)
        return path, read_document(path, self._settings)["outputs"]


def queue_task(
    database: Database,
    settings: Settings,
    fitted: JobRow,
    wanted: JobSpec,
    *,
    data_root_only: bool = False,
    starting: str | None = None,
) -> tuple[JobRow, list[str]]:
    """Queue the task as a job, whose specification is `specification`'s; what the user should hear.

    What was asked before is not done again. `starting` is the queue of workers that may not be up
    yet. SpecError or DatasetError for what cannot work.
    """
    task = wanted.task
    assert task is not None
    modules = {reference.module for reference in named(wanted)}  # the job ran them; workers check
    trusting = settings.replace(
        trusted_modules=(*settings.trusted_modules, *sorted(modules)),
        data_root_only=data_root_only or settings.data_root_only,
    )
    options = job_options(
        settings,
        experiment=f"{fitted.experiment[: _NAME - 12]}-evaluations",
        params={**_whose(task), "task": task.kind},
        queue=fitted.queue,
        priority=fitted.priority,
    )
    submission = Submission(trusting)
    new = replace(submission.checked(wanted, options), settings=settings)
    row = _queued(database, settings, new)
    return row, [*submission.warnings, *_waits(database, settings, row, starting)]


def _waits(
    database: Database, settings: Settings, row: JobRow, starting: str | None
) -> Iterable[str]:
    """A sentence if it has not been done yet and no worker serves its queue."""
    if row.status is JobStatus.SUCCEEDED:
        return ()
    with database.read() as c:
        return without_worker(c, [row.queue], settings, starting=starting).values()


def run_task(
    database: Database,
    settings: Settings,
    fitted: JobRow,
    wanted: JobSpec,
    *,
    starting: str | None = None,
) -> TaskResult:
    """`queue_task`, and wait for its end. JobFailedError with the worker's reason."""
    row, lines = queue_task(database, settings, fitted, wanted, starting=starting)
    for line in lines:
        warnings.warn(line, stacklevel=4)
    display = Display(Console(stderr=True))
    with display.shown():
        wait_for(
            database,
            [row.id],
            settings.lease_s,
            on_snapshot=display.draw,
            snapshot_s=display.every_s,
        )
    with database.read() as c:
        (row,) = lookup.jobs_by_id(c, [row.id])
    check_done(row, wanted)
    return TaskResult(database, settings, row)


def check_done(row: JobRow, wanted: JobSpec) -> None:
    """JobFailedError for a task that has not succeeded."""
    if row.status is not JobStatus.SUCCEEDED and wanted.task is not None:
        why, task = f": {row.failure_message}" if row.failure_message else "", wanted.task
        raise JobFailedError(
            f"job {row.id}, to {task.kind} by {_named(task)}, has ended as {row.status}{why}"
        )


def _whose(task: Task) -> dict[str, Any]:
    """Whose weights it takes, as the parameters of its job."""
    if not task.members:
        return {"job": task.job}
    return {"jobs": [member.job for member in task.members]}


def _named(task: Task) -> str:
    numbers = [member.job for member in task.members] or [task.job]
    return f"job {numbers[0]}" if not task.members else f"jobs {', '.join(map(str, numbers))}"


def checked_batch_size(batch_size: Any) -> int:
    """Raises SpecError for what is no batch size."""
    words = CHECKS["batch_size"](batch_size)
    if words:
        raise SpecError("batch_size", f"{batch_size!r:.60} is not {words}")
    return int(batch_size)


# Arguments of Keras's `predict` and `evaluate` that are none here, and what to do instead.
_OF_KERAS = {
    "verbose": "nothing is printed but the progress of the fleet; leave it out",
    "return_dict": "the result is a dict, always; leave it out",
    "steps": "all rows are taken; give fewer of them",
    "callbacks": "none is called; the metrics are those that the model was compiled with",
}


def check_keras_arguments(given: Mapping[str, Any]) -> None:
    """SpecError for what neither of them takes; `verbose` and `return_dict` change nothing."""
    for name, value in given.items():
        if name == "verbose" or (name == "return_dict" and value is True):
            continue
        words = _OF_KERAS.get(name)
        raise SpecError(name, f"no such argument here{f': {words}' if words else ''}")


def to_evaluate(x: Any, y: Any, sample_weight: Any, keras_arguments: Mapping[str, Any]) -> Any:
    """The dataset in what a user gave to `evaluate`, as to Keras's. SpecError, DatasetError."""
    check_keras_arguments(keras_arguments)
    if y is None and sample_weight is None:
        return x
    if names_a_dataset(x) or is_batches(x):
        name = "y" if y is not None else "sample_weight"
        raise DatasetError(f"{name}: goes with arrays; the {type(x).__name__} has its own")
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def dataset_of(kind: str, data: Any, settings: Settings) -> DatasetSpec:
    """What a user gave to predict or evaluate, as a dataset."""
    data = in_files(data, settings)
    return inputs(data, settings) if kind == "predict" else labelled(data, settings)


def inputs(x: Any, settings: Settings) -> DatasetSpec:
    """Inputs of a model as a dataset: what `in_files` gives, or arrays, written to the storage."""
    if names_a_dataset(x):
        return inputs_only(dataset_spec(x))
    if is_batches(x):
        x = joined(x, "x", settings.memory_bytes)["x"]
    return inputs_only(written({"x": x}, settings))


def labelled(dataset: Any, settings: Settings) -> DatasetSpec:
    """The same with labels; `dataset` is what `fleet.submit` takes."""
    return training_only(dataset_spec(_replaced(dataset, settings)))


def in_files(given: Any, settings: Settings) -> Any:
    """A dataset that is no file as one: a URL is fetched, a folder decoded; all else as it is."""
    if names_a_dataset(given) or isinstance(given, Folder | TFRecord | Files):
        return _replaced(given, settings)
    return given


def _replaced(dataset: Any, settings: Settings) -> Any:
    job = {"dataset": dataset, "batch_size": 1}  # a task has a size of its own
    return DataStore(settings, Reading()).replaced(job)["dataset"]


def specification(spec: JobSpec, task: Task, dataset: DatasetSpec, batch_size: int) -> JobSpec:
    """What of a fit still matters once its weights are there: equal tasks are one job."""
    changes = {
        "task": task,
        "dataset": dataset,
        "batch_size": batch_size,
        "epochs": 0,
        "initial_epoch": 0,
        "steps_per_epoch": None,
        "shuffle": False,
        "validation_split": 0.0,
        "validation_batch_size": None,
        "validation_steps": None,
        "validation_freq": 1,
        "class_weight": None,
        "callbacks": [],
        "evaluators": [],
        "initial_weights": None,
        "steps_per_execution": 1,
        "gradient_accumulation_steps": None,
    }
    return spec.model_copy(update=changes)


def _queued(database: Database, settings: Settings, new: job_table.NewJob) -> JobRow:
    """The job, new or as it is; one that has not succeeded is tried again."""
    with database.begin() as c:
        ((job_id, _),) = job_table.insert(c, [new])
        (row,) = lookup.jobs_by_id(c, [job_id])
        if row.status.is_terminal and row.status is not JobStatus.SUCCEEDED:
            job_table.retry(c, job_id)
    # A storage may be slow or away: no lock is held meanwhile.
    if row.status is JobStatus.SUCCEEDED and _is_gone(settings, row):
        with database.begin() as c:
            ((job_id, _),) = job_table.insert(c, [replace(new, again=True)])
            (row,) = lookup.jobs_by_id(c, [job_id])
    return row


def _path(settings: Settings, row: JobRow) -> Path:
    return Storage.of(settings).local(row.artifact_path or "", row.artifact_sha256)


def _is_gone(settings: Settings, row: JobRow) -> bool:
    return row.artifact_path is None or Storage.of(settings).about(row.artifact_path) is None


def _read(group: Any, outputs: Any, rows: slice) -> Any:
    if isinstance(outputs, dict):
        return {name: _read(group, part, rows) for name, part in outputs.items()}
    if isinstance(outputs, list):
        return [_read(group, part, rows) for part in outputs]
    return group[outputs][rows]
