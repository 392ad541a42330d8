"""Experiments: the names jobs are gathered under, and what is allowed to run of each."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from fitfleet.db import events
from fitfleet.db.accounts import access
from fitfleet.db.attempts.claims import lock
from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.scheduling import reservations
from fitfleet.db.schema.tables import experiments, jobs
from fitfleet.db.session import read_clock
from fitfleet.errors import NotFoundError
from fitfleet.states import JobStatus, Request


def experiment_ids(c: Connection, names: Iterable[str]) -> dict[str, int]:
    """The number of each experiment; those that do not exist yet are made."""
    wanted = sorted(set(names))
    ids = _find(c, wanted)
    missing = [name for name in wanted if name not in ids]
    if missing:
        at = read_clock(c)
        actor = access.actor_of(c)
        of_actor = {"created_at": at, "user_name": actor.user, "token_id": actor.token_id}
        rows = [{"name": name, **of_actor} for name in missing]
        c.execute(insert_ignoring(c, experiments), rows)
        ids |= _find(c, missing)
    return ids


def _find(c: Connection, names: list[str]) -> dict[str, int]:
    query = select(experiments.c.name, experiments.c.id).where(experiments.c.name.in_(names))
    # The lock that a job's foreign key takes anyway, taken before the number is used: a removal
    # that has begun meanwhile has freed the name.
    kept = query.with_for_update(read=True, key_share=True)
    return {row.name: row.id for row in c.execute(kept)}


def token_of(c: Connection, name: str) -> str | None:
    """The number of the token that made the experiment; None: the database's password did."""
    return c.scalar(select(experiments.c.token_id).where(experiments.c.name == name))


def pause(c: Connection, name: str) -> None:
    """Start no more jobs of the experiment; the running ones are asked to go back to the queue."""
    access.change_experiment(c, "pause", name)
    experiment_id = _set_paused(c, name, True)
    of_experiment = jobs.c.experiment_id == experiment_id
    in_flight = jobs.c.status.in_((JobStatus.DISPATCHED, JobStatus.RUNNING))
    lock(c, c.scalars(select(jobs.c.id).where(of_experiment, in_flight)).all())
    c.execute(
        update(jobs)
        .where(of_experiment, jobs.c.status == JobStatus.DISPATCHED)
        .values(reservations.WAITING)
    )
    c.execute(
        update(jobs)
        .where(of_experiment, jobs.c.status == JobStatus.RUNNING, jobs.c.request.is_(None))
        .values(request=Request.RELEASE)
    )
    events.add(c, "paused", detail=name)


def resume(c: Connection, name: str) -> None:
    """Resume a paused experiment."""
    access.change_experiment(c, "resume", name)
    _set_paused(c, name, False)
    events.add(c, "resumed", detail=name)


def limit_running(c: Connection, name: str, max_running: int | None) -> None:
    """Bound the jobs of the experiment that run at once; None: no bound."""
    experiment_id = experiment_ids(c, [name])[name]
    access.change_experiment(c, "limit", name, f"max_running {max_running or 'none'}")
    c.execute(
        update(experiments).where(experiments.c.id == experiment_id).values(max_running=max_running)
    )


def _set_paused(c: Connection, name: str, is_paused: bool) -> int:
    ids = _find(c, [name])
    if name not in ids:
        raise NotFoundError(f"there is no experiment {name!r}; `fitfleet ps` lists those there")
    c.execute(update(experiments).where(experiments.c.id == ids[name]).values(is_paused=is_paused))
    return ids[name]
