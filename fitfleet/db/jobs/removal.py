"""Removing jobs and experiments: their rows and all that belongs to them.

An experiment goes in three steps, so that no transaction grows with it: its name is taken from it,
its jobs are deleted some at a time, and when none is left its sweeps and its own row. From the
first step on nobody reaches it, and the name is free. After a crash the steps are repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, exists, func, literal, select, update

from fitfleet.db import events
from fitfleet.db.accounts import access
from fitfleet.db.jobs import archive
from fitfleet.db.jobs.archive import State
from fitfleet.db.schema.tables import experiments, jobs, sweeps, trial_jobs
from fitfleet.db.session import now
from fitfleet.db.specs import specs
from fitfleet.errors import NotFoundError, StateError
from fitfleet.states import TERMINAL

_CHUNK = 1_000
RESTORING = "restoring\n"  # how the name begins of what is being restored (db/jobs/restore)
_RESTORING_S = 3_600.0


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


def numbers_of(c: Connection, name: str) -> list[int]:
    """The experiment of that name, and those whose removal has begun. NotFoundError."""
    condition = (experiments.c.name == name) | (experiments.c.removing == name)
    numbers = list(c.scalars(select(experiments.c.id).where(condition).order_by(experiments.c.id)))
    if not numbers:
        raise NotFoundError(f"there is no experiment {name!r}; `fitfleet ps` lists those there")
    return numbers


def open_jobs(c: Connection, numbers: Sequence[int]) -> tuple[list[int], int]:
    """Which jobs of these experiments have not ended, and how many jobs they have."""
    of_experiments = jobs.c.experiment_id.in_(numbers)
    query = select(jobs.c.id).where(of_experiments, jobs.c.status.not_in(sorted(TERMINAL)))
    count = c.scalar(select(func.count()).select_from(jobs).where(of_experiments)) or 0
    return list(c.scalars(query.order_by(jobs.c.id))), count


def unfinished_removals(c: Connection) -> dict[int, str]:
    """Experiment -> the name that it had, of each whose removal did not come to its end.

    And of each that was being restored, and of which no row was written for an hour.
    """
    is_restored = experiments.c.name.startswith(RESTORING)
    is_over = ~is_restored | (experiments.c.created_at < now(c) - _RESTORING_S)
    query = select(experiments.c.id, experiments.c.removing).order_by(experiments.c.id)
    return {n: name for n, name in c.execute(query.where(is_over)) if name is not None}


def begin_removal(c: Connection, name: str, only: State | None = None) -> None:
    """Take the name from an experiment and its sweeps, if there is one of that name.

    StateError unless all of its jobs have ended, and if its state is not `only` that.
    """
    query = select(experiments.c.id).where(experiments.c.name == name)
    number = c.execute(query.with_for_update()).scalar()
    if number is None:
        return
    access.change_experiment(c, "remove", name)
    if c.execute(select(_is_open(number))).scalar():
        raise StateError(f"a job of {name!r} has not ended; cancel it, and remove it then")
    if only is not None and archive.state(c, name) != only:
        raise StateError(f"jobs of {name!r} have run meanwhile; try again")
    # No name that is submitted has a line break in it.
    of_sweeps = update(sweeps).where(sweeps.c.experiment_id == number)
    ended_at = func.coalesce(sweeps.c.ended_at, now(c))
    c.execute(of_sweeps.values(name=literal("removing\n").concat(sweeps.c.id), ended_at=ended_at))
    statement = update(experiments).where(experiments.c.id == number)
    c.execute(statement.values(name=f"removing\n{number}", removing=name))
    # Now, while its events are there: SQLite would give this one a number of theirs.
    events.add(c, "removed", detail=f"experiment {name}")


def remove_part(c: Connection, job_ids: Sequence[int]) -> None:
    """Delete those of the jobs of an experiment without a name that are still there."""
    _delete_jobs(c, jobs.c.id.in_(job_ids))


def end_removal(c: Connection, number: int) -> None:
    """Delete the rest of an experiment, whose jobs are all deleted.

    StateError if one of them was started again, by its number, since the removal began.
    """
    query = select(experiments.c.removing).where(experiments.c.id == number)
    name = c.execute(query.with_for_update()).scalar()
    if name is None:  # another one has repeated this removal
        return
    if c.execute(select(_is_open(number))).scalar():
        raise StateError(f"a job of {name!r} runs again; cancel it, and repeat the removal then")
    c.execute(delete(sweeps).where(sweeps.c.experiment_id == number))
    c.execute(delete(experiments).where(experiments.c.id == number))


def _is_open(number: int) -> ColumnElement[bool]:
    return exists().where(jobs.c.experiment_id == number, jobs.c.status.not_in(sorted(TERMINAL)))


def _delete_jobs(c: Connection, condition: ColumnElement[bool], count: int | None = None) -> None:
    """With `count`, StateError unless this many are deleted: another one runs again."""
    ids = select(jobs.c.id).where(condition)
    # Results that another experiment has taken over from them are rows and files of its own.
    c.execute(update(jobs).where(jobs.c.adopted_from.in_(ids)).values(adopted_from=None))
    # One that still waits for it is ended by the scheduler, with the reason.
    c.execute(update(jobs).where(jobs.c.starts_from.in_(ids)).values(starts_from=None))
    documents = specs.used_by(c, ids)
    deleted = c.execute(delete(jobs).where(condition, jobs.c.status.in_(sorted(TERMINAL)))).rowcount
    if count is not None and deleted != count:
        raise StateError("a job has not ended; cancel it, and remove it when it has ended")
    specs.remove_unused(c, documents)


def _chunks(job_ids: Sequence[int]) -> list[Sequence[int]]:
    return [job_ids[i : i + _CHUNK] for i in range(0, len(job_ids), _CHUNK)]
