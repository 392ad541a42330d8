"""Jobs as users and the scheduler write them: insert, cancel, retry, extend, request.

What a worker does with a job it holds is in db/leases, what the dispatcher does in db/placing.
Every change of a status is a conditional UPDATE; a function returns whether it won.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select, update

from fitfleet.db import access, code, events
from fitfleet.db.dependencies import NEVER
from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.experiments import experiment_ids
from fitfleet.db.new_job import NewJob as NewJob
from fitfleet.db.requirements import requirement_ids
from fitfleet.db.session import now
from fitfleet.db.tables import experiments, job_specs, jobs
from fitfleet.errors import NotFoundError, StateError
from fitfleet.spec.identity import content_hash, group_hash
from fitfleet.spec.job import JobSpec
from fitfleet.spec.requirements import requirements_of
from fitfleet.spec.versions import READABLE_SINCE, number_of
from fitfleet.states import JobStatus, Request

_CHUNK = 1_000
_WAITING = (JobStatus.QUEUED, JobStatus.DISPATCHED)


def insert(c: Connection, rows: Sequence[NewJob]) -> list[tuple[int, bool]]:
    """(job id, is new) of each row, in order. A job whose content is there already is that job.

    Safe under concurrency: the UNIQUE constraint decides who inserts, the other finds the row.
    """
    code.store(c, [(row.code, row.code_signature) for row in rows if row.code is not None])
    ids = experiment_ids(c, {row.experiment for row in rows})
    access.submit(c, [row.experiment for row in rows])
    _lock_experiments(c, list(ids.values()))
    at = c.execute(select(now(c))).scalar_one()
    identities = _identities(c, rows, ids)
    asked = requirement_ids(c, {requirements_of(row.options) for row in rows})
    firsts: dict[tuple[int, str, int], NewJob] = {}
    for key, row in zip(identities, rows, strict=True):
        firsts.setdefault(key, row)
    fresh: dict[tuple[int, str, int], int] = {}
    statement = insert_ignoring(c, jobs).returning(
        jobs.c.id, jobs.c.experiment_id, jobs.c.content_hash, jobs.c.rerun
    )
    wanted = list(firsts.items())
    for chunk in (wanted[i : i + _CHUNK] for i in range(0, len(wanted), _CHUNK)):
        values = [_values(row, key, at, asked[requirements_of(row.options)]) for key, row in chunk]
        inserted = c.execute(statement, values)
        fresh.update({(r.experiment_id, r.content_hash, r.rerun): r.id for r in inserted})
    specs = [_documents(fresh[key], row) for key, row in wanted if key in fresh]
    if specs:
        c.execute(job_specs.insert(), specs)
    known = fresh | _existing(c, [key for key, _ in wanted if key not in fresh])
    seen: set[int] = set()
    result = []
    for key in identities:
        job_id = known[key]
        result.append((job_id, key in fresh and job_id not in seen))
        seen.add(job_id)
    return result


def _lock_experiments(c: Connection, ids: Sequence[int]) -> None:
    """Let one transaction at a time add jobs to an experiment.

    Two that insert the same jobs in different orders would wait for each other for ever.
    """
    if c.dialect.name == "postgresql":
        query = select(experiments.c.id).where(experiments.c.id.in_(ids)).order_by(experiments.c.id)
        c.execute(query.with_for_update(key_share=True)).all()


def _identities(
    c: Connection, rows: Sequence[NewJob], ids: dict[str, int]
) -> list[tuple[int, str, int]]:
    keys = [(ids[row.experiment], row.content_hash) for row in rows]
    wanted = {key for key, row in zip(keys, rows, strict=True) if row.again}
    newest = {key: _newest_rerun(c, *key) for key in wanted}
    identities = []
    for key, row in zip(keys, rows, strict=True):
        rerun = newest[key] + 1 if row.again else 0
        if key in newest:
            newest[key] = max(newest[key], rerun)
        identities.append((*key, rerun))
    return identities


def _newest_rerun(c: Connection, experiment_id: int, content: str) -> int:
    query = select(sa.func.max(jobs.c.rerun)).where(
        jobs.c.experiment_id == experiment_id, jobs.c.content_hash == content
    )
    newest = c.execute(query).scalar()
    return -1 if newest is None else int(newest)


def _values(
    row: NewJob, key: tuple[int, str, int], at: float, requirement_id: int
) -> dict[str, Any]:
    limit = row.options.max_failures
    fold = row.spec.dataset.fold
    return {
        "experiment_id": key[0],
        "content_hash": key[1],
        "rerun": key[2],
        "group_hash": row.group_hash,
        "fuse_key": row.fuse_key,
        "fingerprint": row.fingerprint,
        "sweep_id": row.sweep_id,
        "params": json.dumps(row.options.params, sort_keys=True),
        "seed": row.spec.seed,
        "fold": fold["index"] if fold else None,
        "queue": row.queue,
        "requirement_id": requirement_id,
        "priority": row.options.priority,
        "status": JobStatus.QUEUED,
        "submitted_at": at,
        "starts_from": row.starts_from,
        "not_before": 0.0 if row.starts_from is None else NEVER,
        "epochs": row.spec.epochs,
        "max_failures": row.settings.max_failures if limit is None else limit,
        "timeout_s": row.options.timeout_s,
        "stall_timeout_s": row.options.stall_timeout_s,
        "parameters": row.parameters,
        "min_version": number_of(READABLE_SINCE),
    }


def _documents(job_id: int, row: NewJob) -> dict[str, Any]:
    options = json.dumps(row.options.model_dump(mode="json"), sort_keys=True)
    return {"job_id": job_id, "spec": row.spec.canonical(), "options": options}


def _existing(
    c: Connection, keys: Sequence[tuple[int, str, int]]
) -> dict[tuple[int, str, int], int]:
    existing = {}
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        query = select(jobs.c.id, jobs.c.experiment_id, jobs.c.content_hash, jobs.c.rerun).where(
            jobs.c.content_hash.in_({key[1] for key in chunk})
        )
        for row in c.execute(query):
            existing[(row.experiment_id, row.content_hash, row.rerun)] = row.id
    return existing


def cancel(c: Connection, job_id: int) -> JobStatus:
    """Cancel a waiting job at once, ask a running one to end; its status afterwards.

    A job that has ended stays as it is. NotFoundError if there is none.
    """
    won = c.execute(
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
    if won:
        access.change_job(c, "cancel", job_id)
        events.add(c, "cancelled", job_id, detail="while it waited")
        return JobStatus.CANCELLED
    if request(c, job_id, Request.CANCEL):
        access.change_job(c, "cancel", job_id)
    return status_of(c, job_id)


def request(c: Connection, job_id: int, request: Request) -> bool:
    """Ask the worker of a running job for something; it acts at its next heartbeat.

    False if the job does not run, or is to be cancelled already.
    """
    weaker = sa.or_(jobs.c.request.is_(None), jobs.c.request != Request.CANCEL)
    won = c.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.status == JobStatus.RUNNING, weaker)
        .values(request=request)
    ).rowcount
    return bool(won)


def retry(c: Connection, job_id: int) -> bool:
    """Queue a failed, cancelled or pruned job again, from its checkpoint; False in other states."""
    ended = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PRUNED)
    won = c.execute(
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
    if won:
        access.change_job(c, "retry", job_id)
        events.add(c, "retried", job_id)
        return True
    status_of(c, job_id)
    return False


def extend(c: Connection, job_id: int, epochs: int) -> bool:
    """Give a succeeded job more epochs: it resumes from its end, as if asked for at first.

    Its content becomes that of the longer fit, without a budget. False if the job has not succeeded
    or is as long already; StateError if the experiment has another job of that content.
    """
    query = (
        select(jobs, job_specs.c.spec)
        .join(job_specs, job_specs.c.job_id == jobs.c.id)
        .where(jobs.c.id == job_id)
    )
    row = c.execute(query).first()
    if row is None:
        raise NotFoundError(f"there is no job {job_id}")
    changes = {"epochs": epochs, "stop_after": None}
    spec = JobSpec.from_canonical(row.spec).model_copy(update=changes)
    has = row.epochs if row.stopped_by is None else row.epoch
    if row.status != JobStatus.SUCCEEDED or epochs <= has or spec.task is not None:
        return False
    content = content_hash(spec, row.fingerprint)
    key = (row.experiment_id, content, row.rerun)
    other = _existing(c, [key]).get(key)
    if other not in (None, job_id):
        raise StateError(f"job {other} is this job with {epochs} epochs already; use that")
    is_last = jobs.c.checkpoint_epoch == jobs.c.epoch
    won = c.execute(
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
    if won:
        access.change_job(c, "extend", job_id, f"to {epochs} epochs")
        c.execute(
            update(job_specs).where(job_specs.c.job_id == job_id).values(spec=spec.canonical())
        )
        events.add(c, "extended", job_id, detail=f"from {row.epochs} to {epochs} epochs")
    return bool(won)


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
    """Where the job stands. NotFoundError."""
    status = c.execute(select(jobs.c.status).where(jobs.c.id == job_id)).scalar()
    if status is None:
        raise NotFoundError(f"there is no job {job_id}")
    return JobStatus(status)
