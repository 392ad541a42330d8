"""Rows for tests of the database: small checked jobs, without a model or a dataset behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from fitfleet.db.attempts import leases, successes
from fitfleet.db.attempts.leases import Artifact, Claim
from fitfleet.db.attempts.successes import Success
from fitfleet.db.fleet import workers
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.db.scheduling import dispatch as dispatch_table
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database, now
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec, JobOptions, JobSpec, ModelSpec
from fitfleet.states import JobStatus

SETTINGS = Settings()
WEIGHTS = Artifact("digits/1/attempt-1.weights.h5", "0" * 64, 1000)


def new_job(
    content: str,
    *,
    experiment: str = "digits",
    group: str = "g",
    fuse_key: str | None = None,
    seed: int = 0,
    queue: str = "cpu",
    again: bool = False,
    epochs: int = 5,
    **options: Any,
) -> NewJob:
    """A checked job; `content` stands for all that its content hash is made of."""
    spec = JobSpec(
        model=ModelSpec(config={"class_name": "Sequential", "name": content}),
        dataset=DatasetSpec(path="digits.h5"),
        optimizer={"class_name": "SGD", "config": {}},
        loss="mse",
        epochs=epochs,
        seed=seed,
    )
    return NewJob(
        experiment=experiment,
        content_hash=content,
        group_hash=group,
        fuse_key=fuse_key,
        fingerprint=None,
        spec=spec,
        options=JobOptions(experiment=experiment, **options),
        queue=queue,
        again=again,
        parameters=10,
        settings=SETTINGS,
    )


def insert(database: Database, *rows: NewJob) -> list[int]:
    """Insert jobs; their numbers."""
    with database.begin() as c:
        return [job_id for job_id, _ in job_table.insert(c, rows)]


def insert_many(database: Database, count: int, **options: Any) -> list[int]:
    """Insert so many jobs that differ in their content."""
    mark = options.get("experiment", "digits")
    return insert(database, *(new_job(f"{mark}-{i}", **options) for i in range(count)))


def dispatch(database: Database, limit: int, queue: str = "cpu") -> list[tuple[int, int]]:
    """Move jobs to DISPATCHED; the messages."""
    with database.begin() as c:
        return dispatch_table.dispatch(c, queue, limit)


def take(
    database: Database, limit: int = 1, worker: str = "host:1:0", lease_s: float = 60.0
) -> list[Claim]:
    """Dispatch and claim so many jobs."""
    claims = []
    for job_id, dispatch_seq in dispatch(database, limit):
        with database.begin() as c:
            claim = leases.claim(c, job_id, dispatch_seq, worker, lease_s)
        assert claim is not None
        claims.append(claim)
    return claims


def commit(c: Connection, claim: Claim, artifact: Artifact = WEIGHTS, **values: Any) -> bool:
    """The job has succeeded with these weights; `values` are those of a Success."""
    return bool(successes.record(c, [Success(claim, artifact, **values)]))


def column(database: Database, job_id: int, name: str) -> Any:
    """One column of a job's row."""
    with database.read() as c:
        return c.execute(select(jobs.c[name]).where(jobs.c.id == job_id)).scalar_one()


def status(database: Database, job_id: int) -> JobStatus:
    """Where the job stands."""
    return JobStatus(column(database, job_id, "status"))


def let_expire(c: Connection, job_ids: Sequence[int]) -> None:
    """Let the leases of these jobs lie in the past, as if their worker had been killed."""
    c.execute(update(jobs).where(jobs.c.id.in_(job_ids)).values(lease_until=now(c) - 1.0))


def age(c: Connection, job_ids: Sequence[int], seconds: float) -> None:
    """Let so much time pass for the backoff and the dispatch of these jobs."""
    c.execute(
        update(jobs)
        .where(jobs.c.id.in_(job_ids))
        .values(
            not_before=jobs.c.not_before - seconds, dispatched_at=jobs.c.dispatched_at - seconds
        )
    )


def slots(
    count: int, *, service: str = "fleet@host", pid: int = 1, queue: str = "cpu"
) -> list[Slot]:
    """Slots of a worker service."""
    return [Slot(f"host:{pid}:{i}", service, "host", pid, i, queue, "cpu") for i in range(count)]


def register(database: Database, count: int, **options: Any) -> None:
    """Announce the slots of a worker service."""
    with database.begin() as c:
        workers.register(c, slots(count, **options))
