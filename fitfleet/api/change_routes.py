"""Routes that change: submit, and what is done to jobs and experiments.

They call what scripts call, as the token's user: whose an experiment is, quotas and the log of
changes are looked after there (db/accounts/access).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from fitfleet.api.requests import Document, TooLargeError
from fitfleet.client.fleet import Fleet
from fitfleet.client.fleet_jobs import insert, waiting_queues
from fitfleet.client.job import Job
from fitfleet.client.tasks import Kind
from fitfleet.db.jobs.new_job import NewJob, Records
from fitfleet.db.reading import lookup
from fitfleet.errors import DatasetError, FitfleetError, NotFoundError, SpecError
from fitfleet.spec.datasets.dataset import dataset_spec, inputs_only, training_only
from fitfleet.spec.job import InitialWeights, Task
from fitfleet.storage import Storage
from fitfleet.submit import Submission

MAX_JOBS = 20_000


def submit(fleet: Fleet, document: Document) -> Any:
    """Queue jobs, all or none, after the checks of a job file: nothing of a client is believed."""
    documents = document.documents("jobs")
    if not 0 < len(documents) <= MAX_JOBS:
        raise TooLargeError(f"jobs: there are {len(documents):,}; submit 1 to {MAX_JOBS:,} at once")
    # A path that a client names is never one of this machine's own files.
    settings = fleet.settings.replace(data_root_only=True)
    submission, records, rows = Submission(settings), Records(), []
    for index, job in enumerate(documents):
        try:
            row = _row(fleet, submission, job, is_again=document.truth("again"))
            rows.append(records.of(replace(row, settings=fleet.settings)))
        except FitfleetError as error:
            if len(documents) > 1:
                error.args = (f"jobs[{index}]: {error}",)
            raise
    jobs, lines = insert(fleet, submission, rows)
    return {
        "jobs": [{"row": job.row, "is_reused": job.is_reused} for job in jobs],
        "warnings": lines,
        "unserved": fleet.notices.unserved(waiting_queues(jobs)),
    }


def _row(
    fleet: Fleet, submission: Submission, document: Mapping[str, Any], *, is_again: bool
) -> NewJob:
    job = dict(document)
    waits_for = job.pop("starts_from", None)
    _check_forms(job)
    start = job.get("initial_weights")
    if start is not None:
        job["initial_weights"] = _start(fleet, start, waits_for)
    row = submission.row(job, again=is_again)
    return row if waits_for is None else replace(row, starts_from=waits_for)


def _check_forms(job: Mapping[str, Any]) -> None:
    """Paths of models, weights and code are read where a job is submitted, which is not here."""
    if not isinstance(job.get("model"), dict):
        raise SpecError("model", "the API takes a config of Keras or a builder, as an object")
    for name in ("init_from", "code", "validation_data", "sample_weight"):
        if job.get(name) is not None:
            raise SpecError(name, "the API does not take it; submit with fitfleet's own client")
    if not isinstance(job.get("dataset"), str | dict):
        raise DatasetError("dataset: the API takes a path below the data root, or an object")


def _start(fleet: Fleet, document: Any, waits_for: Any) -> InitialWeights:
    """The weights that a job starts from, which are in the storage or come from another job."""
    try:
        start = InitialWeights.model_validate(document)
    except ValueError:
        raise SpecError("initial_weights", f"{document!r:.80} names no weights") from None
    if start.sha256:
        storage = Storage.of(fleet.settings)
        if storage.about(storage.initial(start.sha256)) is None:
            raise SpecError("initial_weights", f"{start.sha256[:12]}: upload the weights first")
        return start
    with fleet.database.read() as c:
        rows = lookup.jobs_by_id(c, [waits_for]) if type(waits_for) is int else []
    if not rows or rows[0].content_hash != start.of_job:
        raise SpecError("starts_from", f"{waits_for!r:.40} is not the job that the weights are of")
    return start


def _labels(job: Job, document: Document) -> Any:
    add, remove, note = document.texts("add"), document.texts("remove"), document.text("note")
    if add:
        job.tag(*add)
    if remove:
        job.untag(*remove)
    if note is not None:
        job.write_note(note)
    return job.labels


def _number(document: Document, name: str) -> int:
    value = document.whole(name)
    if value is None or abs(value) >= 2**31:
        raise FitfleetError(f"{name}: {value!r:.40} is not a number of a job's size")
    return value


def _cancelled(job: Job, _: Document) -> Any:
    job.cancel()
    return job.row


def _task(job: Job, document: Document) -> Any:
    """Queue predict or evaluate on data below the data root or uploaded; its row, warnings.

    By the job, or by the weighted mean of `members`.
    """
    kind = document.needed("kind")
    if kind not in get_args(Kind):
        raise FitfleetError(f"kind: {kind!r:.40} is not one of {', '.join(get_args(Kind))}")
    role = inputs_only if kind == "predict" else training_only
    dataset = role(dataset_spec(document.mapping("dataset")))
    members = [_member(job, given) for given in document.several("members")]
    if members and members[0]["job"] != job.id:
        raise FitfleetError(f"members: the first is not job {job.id}, which was requested")
    values = {"kind": kind, "job": job.id, "sha256": job._digest(), "members": members}
    try:
        task = Task.model_validate(values)
    except ValueError:
        raise FitfleetError("members: they are no jobs with shares of a mean") from None
    row, lines = job._queue_task(task, dataset, _number(document, "batch_size"))
    return {"row": row, "warnings": lines}


def _member(job: Job, document: Any) -> Any:
    """A member as a task names it; its weights are those that the fleet has of it."""
    number, share = (
        document.get(name) if isinstance(document, dict) else None for name in _OF_MEMBER
    )
    if type(number) is not int or not isinstance(share, int | float):
        raise FitfleetError(f"members: {document!r:.60} is not a job with its share of a mean")
    with job._database.read() as c:
        rows = lookup.jobs_by_id(c, [number]) if 0 < number < 2**63 else []
    if not rows:
        raise NotFoundError(f"members: there is no job {number}")
    digest = Job(job._database, job._settings, rows[0])._digest()
    return {"job": number, "share": float(share), "sha256": digest}


_OF_MEMBER = ("job", "share")
JOB_ACTIONS: dict[str, Callable[[Job, Document], Any]] = {
    "cancel": _cancelled,
    "retry": lambda job, _: job.retry().row,
    "extend": lambda job, document: job.extend(epochs=_number(document, "epochs")).row,
    "priority": lambda job, document: job.set_priority(_number(document, "priority")).row,
    "labels": _labels,
    "task": _task,
}


def job_action(fleet: Fleet, job_id: int, name: str, document: Document) -> Any:
    """Do something to a job."""
    return JOB_ACTIONS[name](fleet.job(job_id), document)


def pause(fleet: Fleet, document: Document) -> Any:
    """Start no more jobs of an experiment."""
    fleet.pause(document.needed("experiment"))


def resume(fleet: Fleet, document: Document) -> Any:
    """Start them again."""
    fleet.resume(document.needed("experiment"))


def limit(fleet: Fleet, document: Document) -> Any:
    """Bound the jobs in flight of an experiment."""
    fleet.limit(document.needed("experiment"), document.whole("max_running"))


def remove(fleet: Fleet, document: Document) -> Any:
    """Remove ended jobs, or an experiment."""
    return fleet.remove(
        document.numbers("jobs"),
        experiment=document.text("experiment"),
        is_dry=document.truth("is_dry"),
    )


POST: dict[str, Callable[[Fleet, Document], Any]] = {
    "jobs": submit,
    "experiments/pause": pause,
    "experiments/resume": resume,
    "experiments/limit": limit,
    "remove": remove,
}
