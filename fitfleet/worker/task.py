"""A job without a fit: Keras's `predict` or `evaluate` of the model that another job has fitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fitfleet.db.reading import lookup
from fitfleet.db.session import Database
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import Task
from fitfleet.storage import Storage
from fitfleet.worker.callbacks.user_callbacks import OnBatch
from fitfleet.worker.engines.choice import Choice
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.models.build import precision
from fitfleet.worker.models.ensemble import combined
from fitfleet.worker.models.predict import measured, predictions
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.recording.journal import DatabaseJournal
from fitfleet.worker.state.weights import load_model
from fitfleet.worker.user_code import loading


def run(
    job: PreparedJob,
    task: Task,
    journal: DatabaseJournal,
    database: Database,
    storage: Storage,
    settings: Settings,
) -> None:
    """Do the task and leave its result to be committed; an error is recorded as the job's end."""
    with journal.hold(job.control):
        journal.begin(Choice(KerasFit(settings), [job], [f"Keras's own {task.kind}"]), [job])
        job.control.start()
        job.control.check()  # it may have been stopped while it waited
        job.control.timeline.start(task.kind)
        journal.measure("fit", [job])
        model = _model(task, database, storage, loading.use(job.spec, database, settings))
        arrays, size = job.arrays, job.spec.batch_size
        callbacks = [OnBatch(job.control.check)]
        scores: dict[str, float] = {}
        predicted: Iterator[Any] | None = None
        with precision(job.spec.dtype_policy):
            if task.kind == "evaluate":
                parts = (arrays.x, arrays.y, arrays.sample_weight)
                logs = measured(model, parts, size, settings, callbacks)
                scores = {f"test_{name}": value for name, value in logs.items()}
            else:
                predicted = predictions(model, arrays.x, size, callbacks)
            journal.save_task(job, predicted, {"keras": scores})
        job.control.finish()


def _model(task: Task, database: Database, storage: Storage, settings: Settings) -> Any:
    """The fitted model, or the mean of those of an ensemble."""

    def loaded(job: int, sha256: str) -> Any:
        return load_model(_weights(job, sha256, database, storage), settings, sha256)

    if not task.members:
        return loaded(task.job, task.sha256)
    models = {member.job: loaded(member.job, member.sha256) for member in task.members}
    return combined(models, {member.job: member.share for member in task.members})


def _weights(job: int, sha256: str, database: Database, storage: Storage) -> Path:
    with database.read() as c:
        row = lookup.job(c, job)
    if row is None or row.artifact_path is None:
        raise SpecError("task", f"the weights of job {job} were removed; run it again")
    if row.artifact_sha256 != sha256:
        raise SpecError(
            "task", f"job {job} has other weights by now than when it was asked; ask it again"
        )
    if storage.is_gone(row.artifact_path):
        raise SpecError("task", f"the weights of job {job} are gone; run it again")
    return storage.local(row.artifact_path, sha256)
