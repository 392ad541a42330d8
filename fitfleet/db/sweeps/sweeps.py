"""Sweeps: what was asked for. Their trials and jobs are in db/sweeps/trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, exists, select, update

from fitfleet.db.accounts import access, webhooks
from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.jobs.experiments import experiment_ids
from fitfleet.db.schema.tables import experiments, sweeps, trial_jobs, trials
from fitfleet.db.session import now


@dataclass(frozen=True)
class SweepRow:
    """A sweep as it is stored."""

    id: int
    name: str
    experiment: str
    document: str  # JSON of scheduler.design.Design
    created_at: float
    ended_at: float | None


def create(
    c: Connection, name: str, experiment: str, document: str, budget_s: float | None = None
) -> tuple[SweepRow, bool]:
    """The sweep of that name, and whether it is new. Its budget begins now.

    An existing one is left as it is, unless it never got a job: then nothing is lost by taking
    the new document, and a mistake does not use its name up. AccessError for an experiment that is
    another user's.
    """
    old = find(c, name)
    if old is not None and (old.document == document or _has_jobs(c, old.id)):
        return old, False
    access.change_experiment(c, "submit", experiment, f"sweep {name}")
    experiment_id = experiment_ids(c, {experiment})[experiment]
    if old is not None:
        access.check_experiment(c, "submit", old.experiment)
        c.execute(delete(trials).where(trials.c.sweep_id == old.id))
        c.execute(delete(sweeps).where(sweeps.c.id == old.id))
    at = now(c)
    statement = insert_ignoring(c, sweeps).values(
        experiment_id=experiment_id,
        name=name,
        document=document,
        created_at=at,
        ends_at=None if budget_s is None else at + budget_s,
    )
    is_new = c.execute(statement.returning(sweeps.c.id)).first() is not None
    row = find(c, name)
    assert row is not None
    return row, is_new


def find(c: Connection, name: str) -> SweepRow | None:
    """The sweep of that name."""
    row = c.execute(_sweeps().where(sweeps.c.name == name)).first()
    return None if row is None else SweepRow(**row._mapping)


def listed(c: Connection, *, only_open: bool = False) -> list[SweepRow]:
    """All sweeps, the oldest first."""
    query = _sweeps().order_by(sweeps.c.id)
    if only_open:
        query = query.where(sweeps.c.ended_at.is_(None))
    return [SweepRow(**row._mapping) for row in c.execute(query)]


def _sweeps() -> Any:
    columns = [sweeps.c[name] for name in ("id", "name", "document", "created_at", "ended_at")]
    return select(*columns, experiments.c.name.label("experiment")).join(
        experiments, experiments.c.id == sweeps.c.experiment_id
    )


def end(c: Connection, sweep_id: int) -> bool:
    """End a sweep; whether it was open until now."""
    statement = (
        update(sweeps)
        .where(sweeps.c.id == sweep_id, sweeps.c.ended_at.is_(None))
        .values(ended_at=now(c))
    )
    is_ended = bool(c.execute(statement).rowcount)
    if is_ended:
        row = c.execute(_sweeps().where(sweeps.c.id == sweep_id)).one()
        webhooks.sweep_ended(c, row.name, row.experiment)
    return is_ended


def _has_jobs(c: Connection, sweep_id: int) -> bool:
    return bool(c.execute(select(exists().where(trial_jobs.c.sweep_id == sweep_id))).scalar())
