"""What an archive of an experiment holds: tables of named columns, read some jobs at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from fitfleet.db.schema import views
from fitfleet.db.schema.tables import (
    attempts,
    experiments,
    jobs,
    scores,
    sweeps,
    trial_jobs,
    trials,
)
from fitfleet.db.session import now
from fitfleet.db.specs import specs
from fitfleet.states import TERMINAL

_MAX_JOBS = 2_000  # in a part
_MAX_EPOCHS = 10_000  # the same, unless one job has more

# Table -> {column: one of db.schema.views.TYPES}.
TABLES: dict[str, dict[str, str]] = {
    **{
        name: {column: kind for column, kind, _ in views.COLUMNS[name]}
        for name in ("runs", "curves", "events")
    },
    "scores": {"job_id": "integer", "name": "text", "value": "real", "source": "text"},
    "attempts": {
        **{"job_id": "integer", "attempt": "integer", "worker": "text", "started_at": "real"},
        **{"ended_at": "real", "first_epoch": "integer", "outcome": "text", "message": "text"},
        **{"environment": "json", "engine": "text", "seconds": "real"},
        **{"memory_peak_bytes": "integer", "gpus": "integer"},
    },
    "specs": {"job_id": "integer", "spec": "json", "options": "json"},
    "trials": {
        **{"job_id": "integer", "sweep": "text", "number": "integer", "replicate": "integer"},
        **{"point": "json", "pruned": "text", "design": "json"},
    },
}


@dataclass(frozen=True)
class State:
    """The state of an experiment; equal states have the same jobs, none of which ran in between."""

    number: int
    jobs: int
    newest: int  # number of its newest job
    finished_at: float  # when the last one ended
    attempts: int


def state(c: Connection, name: str) -> State | None:
    """None: there is no experiment of that name, or it has no job."""
    query = (
        select(
            experiments.c.id,
            func.count(jobs.c.id),
            func.max(jobs.c.id),
            func.max(jobs.c.finished_at),
            func.sum(jobs.c.attempt),
        )
        .join(jobs, jobs.c.experiment_id == experiments.c.id)
        .where(experiments.c.name == name)
        .group_by(experiments.c.id)
    )
    row = c.execute(query).first()
    return None if row is None else State(row[0], row[1], row[2], row[3] or 0.0, row[4])


def due(c: Connection, after_s: float) -> list[str]:
    """The experiments whose jobs and sweeps all ended `after_s` ago, the oldest first."""
    of_experiment = jobs.c.experiment_id == experiments.c.id
    ended_at = select(func.max(jobs.c.finished_at)).where(of_experiment).scalar_subquery()
    is_open = sa.exists().where(of_experiment, jobs.c.status.not_in(sorted(TERMINAL)))
    of_sweeps = sweeps.c.experiment_id == experiments.c.id
    is_driven = sa.exists().where(of_sweeps, sweeps.c.ended_at.is_(None))
    query = select(experiments.c.name).where(
        experiments.c.removing.is_(None), ~is_open, ~is_driven, ended_at < now(c) - after_s
    )
    return list(c.scalars(query.order_by(experiments.c.id)))


def parts(c: Connection, number: int) -> list[list[int]]:
    """The jobs of an experiment in parts of bounded numbers of metrics, by number."""
    query = select(jobs.c.id, jobs.c.epoch).where(jobs.c.experiment_id == number)
    parts: list[list[int]] = []
    epochs = _MAX_EPOCHS
    for job_id, done in c.execute(query.order_by(jobs.c.id)):
        epochs += done
        if epochs > _MAX_EPOCHS or len(parts[-1]) == _MAX_JOBS:
            parts.append([])
            epochs = done
        parts[-1].append(job_id)
    return parts


def rows(c: Connection, table: str, job_ids: Sequence[int]) -> Iterator[Sequence[Any]]:
    """What a table of the archive has of these jobs, in one order."""
    if table == "specs":
        yield from _specs(c, job_ids)
        return
    query = _trials() if table == "trials" else _plain(table)
    columns = query.selected_columns
    query = query.where(columns["job_id"].in_(job_ids)).order_by(*columns)
    yield from c.execute(query)


def _plain(table: str) -> sa.Select[Any]:
    view = sa.table(table, *(sa.column(name) for name in TABLES[table]))
    source: sa.FromClause = {"attempts": attempts, "scores": scores}.get(table, view)
    return select(*(source.c[name] for name in TABLES[table]))


def _trials() -> sa.Select[Any]:
    of_trial = (trials.c.sweep_id == trial_jobs.c.sweep_id) & (
        trials.c.number == trial_jobs.c.number
    )
    return (
        select(
            trial_jobs.c.job_id,
            sweeps.c.name.label("sweep"),
            trial_jobs.c.number,
            trial_jobs.c.replicate,
            trials.c.point,
            trials.c.pruned,
            sweeps.c.document.label("design"),
        )
        .join(trials, of_trial)
        .join(sweeps, sweeps.c.id == trial_jobs.c.sweep_id)
    )


def _specs(c: Connection, job_ids: Sequence[int]) -> Iterator[Sequence[Any]]:
    columns = (jobs.c.id, jobs.c.seed, jobs.c.fold, jobs.c.params, *specs.COLUMNS)
    query = specs.join(select(*columns)).where(jobs.c.id.in_(job_ids)).order_by(jobs.c.id)
    for row in c.execute(query):
        yield row.id, specs.spec_of(row), specs.options_of(row)
