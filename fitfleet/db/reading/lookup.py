"""Reading jobs and what they recorded, for handles and displays. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from fitfleet.db.dialect import chunks
from fitfleet.db.reading.progress import among
from fitfleet.db.schema.tables import (
    events,
    experiments,
    jobs,
    metrics,
    scores,
    shown_epoch,
    workers,
)
from fitfleet.db.specs import specs
from fitfleet.states import JobStatus


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as it stood when it was read. Times are seconds since 1970."""

    id: int
    experiment: str
    params: dict[str, Any]
    seed: int
    fold: int | None
    queue: str
    priority: int
    status: JobStatus
    attempt: int
    owner: str | None
    request: str | None
    submitted_at: float
    started_at: float | None
    finished_at: float | None
    seconds: float
    epochs: int
    epoch: int
    failures: int
    failure_class: str | None
    failure_message: str | None
    failure_traceback: str | None
    checkpoint_path: str | None
    checkpoint_epoch: int | None
    artifact_path: str | None
    artifact_sha256: str | None
    artifact_bytes: int | None
    kept_epoch: int | None  # whose weights the artifact holds, counted from 1
    nan_epoch: int | None  # the first whose loss was not finite
    shown_epoch: int  # whose values stand for the job: of the weights it keeps, else the last
    parameters: int | None
    engine: str | None
    engine_reason: str | None
    content_hash: str
    group_hash: str
    train_seconds: float | None = None  # of the epochs alone, without tracing; None before success
    checkpoint_sha256: str | None = None  # None: of an older version, or of an older server
    worker_name: str | None = None  # of the slot that runs it: host/cpu0
    stopped_by: str | None = None  # budget: it ended before its last epoch

    @property
    def remark(self) -> str:
        """What its status does not say of its fit; empty for most."""
        if self.nan_epoch is not None:
            return f"loss not finite from epoch {self.nan_epoch} on"
        if self.stopped_by is not None:
            return f"ended by its {self.stopped_by} after epoch {self.epoch} of {self.epochs}"
        return ""


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One value of a job's curve. A NaN was stored as NULL and is None here."""

    job_id: int
    epoch: int
    metric: str
    phase: str  # train or val
    value: float | None

    @property
    def name(self) -> str:
        """The name Keras gives it: `loss`, `val_loss`."""
        return f"val_{self.metric}" if self.phase == "val" else self.metric


def _columns() -> Select[Any]:
    plain = [
        column
        for column in jobs.c
        if column.name in JobRow.__dataclass_fields__ and column.name != "experiment"
    ]
    more = (
        shown_epoch.label("shown_epoch"),
        experiments.c.name.label("experiment"),
        workers.c.name.label("worker_name"),
    )
    query = select(*plain, *more).join(experiments, experiments.c.id == jobs.c.experiment_id)
    # A job that is being removed is not there, by whatever it is asked for.
    query = query.where(experiments.c.removing.is_(None))
    return query.outerjoin(workers, workers.c.id == jobs.c.owner)


def _job(row: Any) -> JobRow:
    values = dict(row._mapping)
    values["params"] = json.loads(values["params"])
    values["status"] = JobStatus(values["status"])
    return JobRow(**values)


def job(c: Connection, job_id: int) -> JobRow | None:
    """The job of that number, or None."""
    row = c.execute(_columns().where(jobs.c.id == job_id)).first()
    return None if row is None else _job(row)


def jobs_by_id(c: Connection, job_ids: Sequence[int]) -> list[JobRow]:
    """The jobs of those numbers, in their order; numbers that do not exist are left out."""
    rows: dict[int, JobRow] = {}
    for condition in among(jobs.c.id, job_ids):
        for row in c.execute(_columns().where(condition)):
            rows[row.id] = _job(row)
    return [rows[job_id] for job_id in job_ids if job_id in rows]


def find_jobs(
    c: Connection,
    experiment: str | None = None,
    statuses: Iterable[JobStatus] = (),
    limit: int | None = None,
) -> list[JobRow]:
    """Jobs by experiment and status, oldest first; with a limit, the newest N."""
    query = _columns().order_by(jobs.c.id.desc())
    if experiment is not None:
        query = query.where(experiments.c.name == experiment)
    wanted = list(statuses)
    if wanted:
        query = query.where(jobs.c.status.in_(wanted))
    if limit is not None:
        query = query.limit(limit)
    return [_job(row) for row in c.execute(query)][::-1]


def statuses(c: Connection, job_ids: Sequence[int]) -> dict[int, JobStatus]:
    """The state of each job."""
    by_id: dict[int, JobStatus] = {}
    for condition in among(jobs.c.id, job_ids):
        query = select(jobs.c.id, jobs.c.status).where(condition)
        by_id.update({row.id: JobStatus(row.status) for row in c.execute(query)})
    return by_id


def curve(c: Connection, job_id: int) -> list[MetricValue]:
    """All values of one job, by epoch."""
    query = select(metrics).where(metrics.c.job_id == job_id).order_by(metrics.c.epoch)
    return [MetricValue(**row._mapping) for row in c.execute(query)]


def curves(c: Connection, job_ids: Sequence[int]) -> list[MetricValue]:
    """All values of several jobs."""
    points: list[MetricValue] = []
    for chunk in chunks(job_ids):
        query = select(metrics).where(metrics.c.job_id.in_(chunk))
        points += [MetricValue(**row._mapping) for row in c.execute(query)]
    return points


def kept_points(c: Connection, job_ids: Sequence[int]) -> list[MetricValue]:
    """The values that stand for each job: of the epoch whose weights it keeps, else of its last."""
    points: list[MetricValue] = []
    for condition in among(jobs.c.id, job_ids):
        query = (
            select(metrics)
            .join(jobs, (jobs.c.id == metrics.c.job_id) & (shown_epoch == metrics.c.epoch))
            .where(condition)
        )
        points += [MetricValue(**row._mapping) for row in c.execute(query)]
    return points


def extremes(c: Connection, job_ids: Sequence[int]) -> list[tuple[int, str, float, float]]:
    """(job, Keras's name, smallest, largest value over all epochs)."""
    ranges: list[tuple[int, str, float, float]] = []
    low, high = func.min(metrics.c.value), func.max(metrics.c.value)
    for chunk in chunks(job_ids):
        query = (
            select(metrics.c.job_id, metrics.c.metric, metrics.c.phase, low, high)
            .where(metrics.c.job_id.in_(chunk), metrics.c.value.is_not(None))
            .group_by(metrics.c.job_id, metrics.c.metric, metrics.c.phase)
        )
        for job_id, metric, phase, smallest, largest in c.execute(query):
            name = f"val_{metric}" if phase == "val" else metric
            ranges.append((job_id, name, smallest, largest))
    return ranges


def scores_of(c: Connection, job_ids: Sequence[int]) -> dict[int, dict[str, float | None]]:
    """The scores of each job that has some."""
    by_job: dict[int, dict[str, float | None]] = {}
    for chunk in chunks(job_ids):
        query = select(scores.c.job_id, scores.c.name, scores.c.value)
        query = query.where(scores.c.job_id.in_(chunk)).order_by(scores.c.job_id, scores.c.name)
        for job_id, name, value in c.execute(query):
            by_job.setdefault(job_id, {})[name] = value
    return by_job


def documents(c: Connection, job_id: int) -> tuple[str, str] | None:
    """(spec, options) of a job as canonical JSON."""
    row = c.execute(specs.join(select(jobs, *specs.COLUMNS)).where(jobs.c.id == job_id)).first()
    return None if row is None else (specs.spec_of(row), specs.options_of(row))


def events_of(c: Connection, job_id: int) -> list[dict[str, Any]]:
    """What happened to a job, first first."""
    query = select(events).where(events.c.job_id == job_id).order_by(events.c.id)
    return [dict(row._mapping) for row in c.execute(query)]


def experiment_summary(c: Connection) -> list[dict[str, Any]]:
    """One row an experiment: name, is_paused, max_running and the number of jobs by status."""
    summaries: dict[str, dict[str, Any]] = {}
    is_there = experiments.c.removing.is_(None)
    for row in c.execute(select(experiments).where(is_there).order_by(experiments.c.id)):
        summaries[row.name] = {
            "name": row.name,
            "is_paused": bool(row.is_paused),
            "max_running": row.max_running,
            "jobs": {},
        }
    query = (
        select(experiments.c.name, jobs.c.status, func.count())
        .join(jobs, jobs.c.experiment_id == experiments.c.id)
        .where(is_there)
        .group_by(experiments.c.name, jobs.c.status)
    )
    for name, status, count in c.execute(query):
        summaries[name]["jobs"][status] = count
    return list(summaries.values())


def count_jobs(c: Connection) -> dict[JobStatus, int]:
    """The number of jobs by status, without those of experiments that are being removed."""
    leaving = select(experiments.c.id).where(experiments.c.removing.is_not(None))
    query = select(jobs.c.status, func.count()).where(jobs.c.experiment_id.not_in(leaving))
    query = query.group_by(jobs.c.status)
    return {JobStatus(status): count for status, count in c.execute(query)}


def paused_experiments(c: Connection) -> set[str]:
    """Names of the experiments that are paused."""
    query = select(experiments.c.name).where(experiments.c.is_paused)
    return set(c.scalars(query.where(experiments.c.removing.is_(None))))


def newest_artifact(c: Connection) -> str | None:
    """Path below the storage of the newest job's weights; None when there are none."""
    query = select(jobs.c.artifact_path).where(jobs.c.artifact_path.is_not(None))
    return c.execute(query.order_by(jobs.c.id.desc()).limit(1)).scalar()


def dispatch_seq(c: Connection, job_id: int) -> int:
    """The number of the latest message for a job."""
    return int(c.execute(select(jobs.c.dispatch_seq).where(jobs.c.id == job_id)).scalar_one())
