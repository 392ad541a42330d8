"""Jobs as users and the scheduler write them: insert, cancel, retry, extend, request.

What a worker does with a job it holds is in db/attempts, what the dispatcher does in db/scheduling.
Every change of a status is a conditional UPDATE; a function returns whether it won.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select, update

from fitfleet.db import bulk, events
from fitfleet.db.accounts import access, token_quotas, webhooks
from fitfleet.db.jobs.dependencies import NEVER
from fitfleet.db.jobs.experiments import experiment_ids
from fitfleet.db.jobs.new_job import COLUMNS, JobRecord, Records
from fitfleet.db.jobs.new_job import NewJob as NewJob
from fitfleet.db.schema.tables import experiments, job_specs, jobs
from fitfleet.db.session import now
from fitfleet.db.specs import code, specs
from fitfleet.db.specs.requirements import requirement_ids
from fitfleet.errors import NotFoundError, StateError
from fitfleet.spec.identity import content_hash, group_hash
from fitfleet.spec.job import JobSpec
from fitfleet.states import JobStatus, Request

_CHUNK = 1_000
_IDENTITY = ("experiment_id", "content_hash", "rerun")
_Identity = tuple[int, str, int]  # the values of _IDENTITY
_WAITING = (JobStatus.QUEUED, JobStatus.DISPATCHED)


def insert(c: Connection, rows: Iterable[NewJob]) -> list[tuple[int, bool]]:
    """(job id, is new) of each row, in order. A job whose content is there already is that job."""
    records = Records()
    return insert_records(c, [records.of(row) for row in rows])


def insert_records(c: Connection, rows: Sequence[JobRecord]) -> list[tuple[int, bool]]:
    """The same for rows that are made already.

    Safe under concurrency: who adds jobs to an experiment holds its lock.
    """
    code.store(c, [(row.code, row.code_signature) for row in rows if row.code is not None])
    ids = experiment_ids(c, {row.experiment for row in rows})
    access.submit(c, [row.experiment for row in rows])
    _lock_experiments(c, list(ids.values()))
    identities = _identities(c, rows, ids)
    known = _existing(c, list(dict.fromkeys(identities)))
    fresh: dict[_Identity, JobRecord] = {}
    for key, row in zip(identities, rows, strict=True):
        if key not in known:
            fresh.setdefault(key, row)
    known |= _insert_fresh(c, fresh)
    token_quotas.hold(c, [row.experiment for row in rows])
    return [(known[key], fresh.pop(key, None) is not None) for key in identities]


def _insert_fresh(c: Connection, fresh: Mapping[_Identity, JobRecord]) -> dict[_Identity, int]:
    """Insert jobs that are not there; their numbers."""
    at = c.execute(select(now(c))).scalar_one()
    requirements = requirement_ids(c, {row.requirement for row in fresh.values()})
    texts = {text for row in fresh.values() for text in (row.spec, row.options)}
    documents = specs.store(c, texts)
    numbers = dict(zip(fresh, bulk.new_ids(c, jobs, len(fresh)), strict=True))
    bulk.insert(
        c,
        jobs,
        ("id", *_IDENTITY, "submitted_at", "requirement_id", *COLUMNS),
        (
            (numbers[key], *key, at, requirements[row.requirement], *row.values)
            for key, row in fresh.items()
        ),
    )
    bulk.insert(
        c,
        job_specs,
        ("job_id", "spec_id", "options_id"),
        ((numbers[key], documents[r.spec], documents[r.options]) for key, r in fresh.items()),
    )
    return numbers


def _lock_experiments(c: Connection, ids: Sequence[int]) -> None:
    """Let one transaction at a time add jobs to an experiment.

    What it looked for and did not find is then not there until it ends.
    """
    if c.dialect.name == "postgresql":
        query = select(experiments.c.id).where(experiments.c.id.in_(ids)).order_by(experiments.c.id)
        c.execute(query.with_for_update(key_share=True)).all()


def _identities(c: Connection, rows: Sequence[JobRecord], ids: dict[str, int]) -> list[_Identity]:
    keys = [(ids[row.experiment], row.content_hash) for row in rows]
    wanted = {key for key, row in zip(keys, rows, strict=True) if row.again}
    newest = _newest_reruns(c, list(wanted))
    identities = []
    for key, row in zip(keys, rows, strict=True):
        rerun = newest[key] + 1 if row.again else 0
        if key in newest:
            newest[key] = max(newest[key], rerun)
        identities.append((*key, rerun))
    return identities


def _newest_reruns(c: Connection, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """The highest rerun of (experiment, content) that is there; -1 for one that is new."""
    newest = dict.fromkeys(keys, -1)
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        query = (
            select(jobs.c.experiment_id, jobs.c.content_hash, sa.func.max(jobs.c.rerun))
            .where(
                jobs.c.experiment_id.in_({key[0] for key in chunk}),
                jobs.c.content_hash.in_({key[1] for key in chunk}),
            )
            .group_by(jobs.c.experiment_id, jobs.c.content_hash)
        )
        for experiment_id, content, rerun in c.execute(query):
            if (experiment_id, content) in newest:
                newest[experiment_id, content] = int(rerun)
    return newest


def _existing(c: Connection, keys: Sequence[_Identity]) -> dict[_Identity, int]:
    existing = {}
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        query = select(jobs.c.id, jobs.c.experiment_id, jobs.c.content_hash, jobs.c.rerun).where(
            jobs.c.experiment_id.in_({key[0] for key in chunk}),
            jobs.c.content_hash.in_({key[1] for key in chunk}),
        )
        for row in c.execute(query):
            existing[(row.experiment_id, row.content_hash, row.rerun)] = row.id
    return existing


def cancel(c: Connection, job_id: int) -> JobStatus:
    """Cancel a waiting job at once, request it of a running one; its status afterwards.

    A job that has ended stays as it is. NotFoundError if there is none.
    """
    updated = c.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.status.in_(_WAITING))
        .values(
            status=JobStatus.CANCELLED,
            finished_at=now(c),
            request=None,
            owner=None,  # of one that a slot has reserved
            lease_until=None,
        )
    ).rowcount
    if updated:
        access.change_job(c, "cancel", job_id)
        events.add(c, "cancelled", job_id, detail="while it waited")
        webhooks.jobs_ended(c, [job_id])
        return JobStatus.CANCELLED
    if request(c, job_id, Request.CANCEL):
        access.change_job(c, "cancel", job_id)
    return status_of(c, job_id)


def request(c: Connection, job_id: int, request: Request) -> bool:
    """Put a request to a running job, which its worker reads with the next heartbeat.

    False if the job does not run, or is to be cancelled already.
    """
    weaker = sa.or_(jobs.c.request.is_(None), jobs.c.request != Request.CANCEL)
    updated = c.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.status == JobStatus.RUNNING, weaker)
        .values(request=request)
    ).rowcount
    return bool(updated)


def retry(c: Connection, job_id: int) -> bool:
    """Queue a failed, cancelled or pruned job again, from its checkpoint; False in other states."""
    ended = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PRUNED)
    updated = c.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.status.in_(ended))
        .values(
            **_requeued(),
            failures=0,
            memory_step=0,
            # Of a job that starts from another the scheduler says whether it may.
            not_before=sa.case((jobs.c.starts_from.is_(None), 0.0), else_=NEVER),
        )
    ).rowcount
    if updated:
        _log_requeue(c, "retry", job_id)
        events.add(c, "retried", job_id)
        return True
    status_of(c, job_id)
    return False


def extend(c: Connection, job_id: int, epochs: int) -> bool:
    """Give a succeeded job more epochs: it resumes from its end, as if submitted with them.

    Its content becomes that of the longer fit, without a budget. False if the job has not succeeded
    or is as long already; StateError if the experiment has another job of that content.
    """
    row = c.execute(specs.join(select(jobs, *specs.COLUMNS)).where(jobs.c.id == job_id)).first()
    if row is None:
        raise NotFoundError(f"there is no job {job_id}")
    changes = {"epochs": epochs, "stop_after": None}
    spec = JobSpec.from_canonical(specs.spec_of(row)).model_copy(update=changes)
    has = row.epochs if row.stopped_by is None else row.epoch
    if row.status != JobStatus.SUCCEEDED or epochs <= has or spec.task is not None:
        return False
    _lock_experiments(c, [row.experiment_id])
    content = content_hash(spec, row.fingerprint)
    key = (row.experiment_id, content, row.rerun)
    other = _existing(c, [key]).get(key)
    if other not in (None, job_id):
        raise StateError(f"job {other} is this job with {epochs} epochs already; use that")
    is_last = jobs.c.checkpoint_epoch == jobs.c.epoch
    updated = c.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.status == JobStatus.SUCCEEDED)
        .values(
            **_requeued(),
            not_before=0.0,
            epochs=epochs,
            stopped_by=None,
            content_hash=content,
            group_hash=group_hash(spec, row.fingerprint),
            failures=0,
            # The state at the end of the last epoch; the weights that won may be the best ones.
            checkpoint_path=sa.case((is_last, jobs.c.checkpoint_path), else_=jobs.c.artifact_path),
            checkpoint_sha256=sa.case(
                (is_last, jobs.c.checkpoint_sha256), else_=jobs.c.artifact_sha256
            ),
            checkpoint_epoch=jobs.c.epoch,
        )
    ).rowcount
    if updated:
        _log_requeue(c, "extend", job_id, f"to {epochs} epochs")
        specs.replace(c, job_id, spec)
        events.add(c, "extended", job_id, detail=f"from {row.epochs} to {epochs} epochs")
    return bool(updated)


def _log_requeue(c: Connection, action: str, job_id: int, detail: str | None = None) -> None:
    """Write into the log that an ended job is queued again. AccessError, QuotaError."""
    access.change_job(c, action, job_id, detail)
    token_quotas.hold(c)


def _requeued() -> dict[str, Any]:
    return {
        "status": JobStatus.QUEUED,
        "refused_since": None,
        "finished_at": None,
        "request": None,
        "failure_class": None,
        "failure_message": None,
        "failure_traceback": None,
    }


def status_of(c: Connection, job_id: int) -> JobStatus:
    """The state of the job. NotFoundError if there is none, or it is being removed."""
    query = select(jobs.c.status).join(experiments, experiments.c.id == jobs.c.experiment_id)
    is_there = experiments.c.removing.is_(None)
    status = c.execute(query.where(jobs.c.id == job_id, is_there)).scalar()
    if status is None:
        raise NotFoundError(f"there is no job {job_id}")
    return JobStatus(status)
