"""What an archive of an experiment holds: tables of named columns, read some jobs at a time.

Those for readers are as the views; of the others `restore` makes the rows again. Numbers that mean
nothing in another database are left out: what they stand for is written in their place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from fitfleet.db.schema import views
from fitfleet.db.schema.import_tables import imported_trials
from fitfleet.db.schema.tables import (
    attempts,
    code_snapshots,
    events,
    experiments,
    job_labels,
    jobs,
    requirements,
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

_KINDS = {int: "integer", float: "real", bool: "boolean", bytes: "binary"}


def kinds(table: sa.Table) -> dict[str, str]:
    """Column -> integer, real, boolean, binary or text."""
    return {column.name: _KINDS.get(column.type.python_type, "text") for column in table.columns}


# Rows as they are in the database; `tables/jobs` has besides what its job waits for and asks.
_WHOLE = {
    "scores": scores,
    "attempts": attempts,
    "tables/jobs": jobs,
    "tables/job_labels": job_labels,
    "tables/job_events": events,
    "tables/trial_jobs": trial_jobs,
    "tables/experiments": experiments,
    "tables/sweeps": sweeps,
    "tables/trials": trials,
    "tables/imported_trials": imported_trials,
    "tables/code_snapshots": code_snapshots,
}
_OF_EXPERIMENT = ("experiments", "sweeps", "trials", "imported_trials", "code_snapshots")
# Those that are not read by jobs, but at once.
OF_EXPERIMENT = frozenset(f"tables/{name}" for name in _OF_EXPERIMENT)
# Table -> {column: one of db.schema.views.TYPES, or boolean or binary}.
TABLES: dict[str, dict[str, str]] = {
    **{
        name: {column: kind for column, kind, _ in views.COLUMNS[name]}
        for name in ("runs", "curves", "events")
    },
    "specs": {"job_id": "integer", "spec": "json", "options": "json"},
    "trials": {
        **{"job_id": "integer", "sweep": "text", "number": "integer", "replicate": "integer"},
        **{"point": "json", "pruned": "text", "design": "json"},
    },
    **{name: kinds(table) for name, table in _WHOLE.items()},
}
# The requirement's document, and the content hash of the job that it starts from.
TABLES["tables/jobs"] |= {"requirement": "text", "parent_hash": "text"}
del TABLES["tables/jobs"]["requirement_id"]


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
    """The experiments whose jobs and sweeps all ended `after_s` ago, the oldest first.

    Not those that were restored since.
    """
    of_experiment = jobs.c.experiment_id == experiments.c.id
    ended_at = select(func.max(jobs.c.finished_at)).where(of_experiment).scalar_subquery()
    is_open = sa.exists().where(of_experiment, jobs.c.status.not_in(sorted(TERMINAL)))
    of_sweeps = sweeps.c.experiment_id == experiments.c.id
    is_driven = sa.exists().where(of_sweeps, sweeps.c.ended_at.is_(None))
    is_restored = sa.exists().where(
        events.c.job_id.is_(None),
        events.c.kind == "restored",
        events.c.detail == sa.literal("experiment ").concat(experiments.c.name),
        events.c.at >= now(c) - after_s,
    )
    ended = (~is_open, ~is_driven, ended_at < now(c) - after_s)
    query = select(experiments.c.name).where(experiments.c.removing.is_(None), *ended, ~is_restored)
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
    special = {"trials": _trials, "tables/jobs": _jobs}.get(table)
    query = special() if special is not None else _plain(table)
    columns = query.selected_columns
    number = columns["id" if table == "tables/jobs" else "job_id"]
    yield from c.execute(query.where(number.in_(job_ids)).order_by(*columns))


def rows_of_experiment(c: Connection, table: str, number: int) -> list[Sequence[Any]]:
    """The same of a table that is not read by jobs."""
    query = _plain(table)
    columns = query.selected_columns
    of_sweeps = select(sweeps.c.id).where(sweeps.c.experiment_id == number)
    condition: sa.ColumnElement[bool]
    if table == "tables/code_snapshots":
        condition = columns["sha256"].in_(_code(c, number))
    elif table == "tables/experiments":
        condition = columns["id"] == number
    elif table == "tables/sweeps":
        condition = columns["experiment_id"] == number
    else:
        condition = columns["sweep_id"].in_(of_sweeps)
    return list(c.execute(query.where(condition).order_by(*list(columns)[:2])))


def _plain(table: str) -> sa.Select[Any]:
    view = sa.table(table, *(sa.column(name) for name in TABLES[table]))
    source: sa.FromClause = _WHOLE.get(table, view)
    return select(*(source.c[name] for name in TABLES[table]))


def _jobs() -> sa.Select[Any]:
    parent = jobs.alias("parent")
    further = {"requirement": requirements.c.document, "parent_hash": parent.c.content_hash}
    columns = (
        further[name].label(name) if name in further else jobs.c[name]
        for name in TABLES["tables/jobs"]
    )
    return (
        select(*columns)
        .outerjoin(requirements, requirements.c.id == jobs.c.requirement_id)
        .outerjoin(parent, parent.c.id == jobs.c.starts_from)
    )


def _code(c: Connection, number: int) -> list[str]:
    """The snapshots of code that jobs of the experiment run."""
    query = specs.join(select(specs.COMMON)).where(jobs.c.experiment_id == number).distinct()
    documents = c.scalars(query.execution_options(yield_per=500))
    return sorted({json.loads(text).get("code") or "" for text in documents} - {""})


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
