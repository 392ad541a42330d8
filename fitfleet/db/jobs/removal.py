"""Removing jobs and experiments: their rows and all that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from fitfleet.db import events
from fitfleet.db.accounts import access
from fitfleet.db.schema.tables import experiments, jobs, sweeps, trial_jobs
from fitfleet.db.specs import specs
from fitfleet.errors import NotFoundError, StateError
from fitfleet.states import TERMINAL

_CHUNK = 1_000


def sweeps_of(c: Connection, job_ids: Sequence[int]) -> list[str]:
    """Names of the sweeps that have one of these jobs."""
    names: set[str] = set()
    for chunk in _chunks(job_ids):
        query = (
            select(sweeps.c.name)
            .join(trial_jobs, trial_jobs.c.sweep_id == sweeps.c.id)
            .where(trial_jobs.c.job_id.in_(chunk))
        )
        names.update(c.scalars(query.distinct()))
    return sorted(names)


def remove_jobs(c: Connection, job_ids: Sequence[int]) -> None:
    """Delete ended jobs with their metrics, scores, attempts and events.

    StateError, and the transaction is to be rolled back, if one of them has not ended.
    """
    for job_id in sorted(set(job_ids)):
        access.change_job(c, "remove", job_id)
    for chunk in _chunks(sorted(set(job_ids))):
        _delete_jobs(c, jobs.c.id.in_(chunk), len(chunk))


def remove_experiment(c: Connection, name: str) -> None:
    """Delete an experiment with its sweeps and jobs, all of which must have ended: StateError."""
    number = c.execute(select(experiments.c.id).where(experiments.c.name == name)).scalar()
    if number is None:
        raise NotFoundError(f"there is no experiment {name!r}; `fitfleet ps` lists those there")
    access.change_experiment(c, "remove", name)
    is_open = exists().where(jobs.c.experiment_id == number, jobs.c.status.not_in(sorted(TERMINAL)))
    if c.execute(select(is_open)).scalar():
        raise StateError(f"a job of {name!r} has not ended; cancel it, and remove it then")
    _delete_jobs(c, jobs.c.experiment_id == number)
    c.execute(delete(sweeps).where(sweeps.c.experiment_id == number))
    c.execute(delete(experiments).where(experiments.c.id == number))
    events.add(c, "removed", detail=f"experiment {name}")


def _delete_jobs(c: Connection, which: ColumnElement[bool], count: int | None = None) -> None:
    """`count`: so many must be deleted; else one of them runs again by now."""
    ids = select(jobs.c.id).where(which)
    # Results that another experiment has taken over from them are rows and files of its own.
    c.execute(update(jobs).where(jobs.c.adopted_from.in_(ids)).values(adopted_from=None))
    # One that still waits for it is ended by the scheduler, with the reason.
    c.execute(update(jobs).where(jobs.c.starts_from.in_(ids)).values(starts_from=None))
    documents = specs.used_by(c, ids)
    won = c.execute(delete(jobs).where(which, jobs.c.status.in_(sorted(TERMINAL)))).rowcount
    if count is not None and won != count:
        raise StateError("a job has not ended; cancel it, and remove it when it has ended")
    specs.remove_unused(c, documents)


def _chunks(job_ids: Sequence[int]) -> list[Sequence[int]]:
    return [job_ids[i : i + _CHUNK] for i in range(0, len(job_ids), _CHUNK)]
