"""What decides when a job starts, read as the dispatcher reads it. Nothing here writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from fitfleet.db.accounts import groups, users
from fitfleet.db.accounts.groups import Group
from fitfleet.db.accounts.users import Quota
from fitfleet.db.jobs import dependencies
from fitfleet.db.schema.tables import attempts, experiments, jobs, requirements, workers
from fitfleet.db.session import read_clock
from fitfleet.states import JobStatus

_IN_FLIGHT = (JobStatus.DISPATCHED, JobStatus.RUNNING)


_LATEST_OUTCOME = (
    select(attempts.c.outcome)
    .where(attempts.c.job_id == jobs.c.id, attempts.c.attempt == jobs.c.attempt)
    .scalar_subquery()
)
_STANDING = (
    select(
        jobs,
        experiments.c.name,
        experiments.c.is_paused,
        experiments.c.max_running,
        experiments.c.user_name,
        workers.c.heartbeat_at,
        _LATEST_OUTCOME.label("outcome"),
        requirements.c.document.label("requirement"),
    )
    .join(experiments, experiments.c.id == jobs.c.experiment_id)
    .outerjoin(workers, workers.c.id == jobs.c.owner)
    .outerjoin(requirements, requirements.c.id == jobs.c.requirement_id)
    .where(jobs.c.id == bindparam("job_id"))
)
_JOBS_IN_FLIGHT = select(func.count()).where(
    jobs.c.experiment_id == bindparam("experiment_id"), jobs.c.status.in_(_IN_FLIGHT)
)


@dataclass(frozen=True)
class Standing:
    """One job and its experiment. Lengths of time are seconds by the database's clock."""

    id: int
    status: JobStatus
    experiment: str
    is_paused: bool
    max_running: int | None
    in_flight: int  # dispatched and running jobs of the experiment
    queue: str
    backoff_s: float  # until it may start; 0 or less: it may
    failures: int
    max_failures: int
    failure_class: str | None  # of its latest attempt
    memory_step: int
    attempt: int
    owner: str | None
    owner_silent_s: float | None  # since the heartbeat of the slot that runs it
    lease_left_s: float | None
    dispatched_s: float | None  # since its message went out
    submitted_s: float
    min_version: int  # the lowest of fitfleet that may run it (spec.versions)
    epoch: int
    epochs: int
    requirement_id: int = 0
    requirement: str = ""  # what it asks of its slot (spec.requirements)
    # The job whose weights it starts from, and how that one stands, while it waits for it.
    waits_for: tuple[int, JobStatus] | None = None
    user: str | None = None  # of the experiment
    quota: Quota | None = None  # of that user
    group: Group | None = None  # the user's, if it has a quota
    is_on_gpu: bool = False  # whether its queue has GPUs


@dataclass(frozen=True)
class SlotState:
    """A slot that has not said that it ended."""

    id: str
    queue: str
    is_draining: bool
    silent_s: float
    versions: dict[str, str]


def standing(c: Connection, job_id: int) -> Standing | None:
    """The state of the job; None if there is none."""
    row = c.execute(_STANDING, {"job_id": job_id}).first()
    if row is None:
        return None
    in_flight = c.execute(_JOBS_IN_FLIGHT, {"experiment_id": row.experiment_id}).scalar_one()
    quota = next(iter(users.quotas(c, row.user_name)), None) if row.user_name else None
    at = read_clock(c)

    def since(moment: float | None) -> float | None:
        return None if moment is None else at - moment

    return Standing(
        id=row.id,
        status=JobStatus(row.status),
        experiment=row.name,
        is_paused=bool(row.is_paused),
        max_running=row.max_running,
        in_flight=int(in_flight),
        queue=row.queue,
        backoff_s=row.not_before - at,
        failures=row.failures,
        max_failures=row.max_failures,
        failure_class=row.outcome,
        memory_step=row.memory_step,
        attempt=row.attempt,
        owner=row.owner,
        owner_silent_s=since(row.heartbeat_at),
        lease_left_s=None if row.lease_until is None else row.lease_until - at,
        dispatched_s=since(row.dispatched_at),
        submitted_s=at - row.submitted_at,
        min_version=row.min_version,
        epoch=row.epoch,
        epochs=row.epochs,
        requirement_id=row.requirement_id,
        requirement=row.requirement or "",
        waits_for=_waits_for(c, row),
        user=row.user_name,
        quota=quota,
        group=None if quota is None or quota.group is None else groups.quota_of(c, quota.group),
        is_on_gpu=bool(c.execute(select(users.serves_gpus(row.queue))).scalar()),
    )


def _waits_for(c: Connection, row: Any) -> tuple[int, JobStatus] | None:
    if row.not_before < dependencies.NEVER:
        return None
    parent = dependencies.parent_of(c, row.id)
    return None if parent is None else (parent.job_id, parent.status)


def slots(c: Connection) -> list[SlotState]:
    """Every slot that has not said that it ended, of any queue."""
    at = read_clock(c)
    query = select(workers).where(workers.c.ended_at.is_(None)).order_by(workers.c.id)
    return [
        SlotState(
            row.id,
            row.queue,
            bool(row.is_draining),
            at - row.heartbeat_at,
            json.loads(row.versions or "{}"),
        )
        for row in c.execute(query)
    ]


def waiting_queues(c: Connection) -> list[str]:
    """Queues that hold jobs that no worker has yet."""
    query = select(jobs.c.queue).where(jobs.c.status == JobStatus.QUEUED).distinct()
    return sorted(c.execute(query).scalars())
