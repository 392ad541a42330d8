"""Population-based training in SQL: which trial of a sweep continues which, and what was changed.

A generation has a trial for each member of the population; the trial's job continues the job of a
trial of the generation before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, column, func, select, table

from fitfleet.db.sweep_tables import sweeps, trial_jobs, trials

COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "lineage": [
        ("sweep", "text", "name of a sweep by population-based training"),
        ("experiment", "text", "its experiment"),
        ("generation", "integer", "0 is the first"),
        ("member", "integer", "of the population, from 0"),
        ("trial", "integer", "number of the trial"),
        ("job_id", "integer", "its job; NULL: it was refused"),
        ("parent_job_id", "integer", "job whose fit it continues; NULL in generation 0"),
        ("parent_member", "integer", "the member whose job that is"),
        ("is_exploited", "integer", "1 where that is another member: its own was replaced"),
        ("params", "json", "JSON object of its hyperparameters"),
        ("changes", "json", 'JSON object {parameter: {"from": ..., "to": ...}}, to the parent\'s'),
    ]
}

_VIEW = """
SELECT s.name AS sweep, e.name AS experiment, t.generation AS generation, t.member AS member,
  t.number AS trial, tj.job_id AS job_id, pj.job_id AS parent_job_id, p.member AS parent_member,
  CASE WHEN p.member <> t.member THEN 1 ELSE 0 END AS is_exploited, t.point AS params,
  t.changes AS changes
FROM trials t JOIN sweeps s ON s.id = t.sweep_id JOIN experiments e ON e.id = s.experiment_id
  LEFT JOIN trial_jobs tj
    ON tj.sweep_id = t.sweep_id AND tj.number = t.number AND tj.replicate = 0
  LEFT JOIN trials p ON p.sweep_id = t.sweep_id AND p.number = t.parent
  LEFT JOIN trial_jobs pj
    ON pj.sweep_id = t.sweep_id AND pj.number = t.parent AND pj.replicate = 0
WHERE t.generation IS NOT NULL"""


def definitions() -> dict[str, str]:
    """The SELECT of the view."""
    return {"lineage": _VIEW}


_lineage = table("lineage", *(column(name) for name, _, _ in COLUMNS["lineage"]))


@dataclass(frozen=True)
class Descent:
    """Where a trial of population-based training comes from."""

    generation: int
    member: int
    parent: int | None = None  # number of the trial whose fit it continues
    changes: Mapping[str, Any] | None = None  # {parameter: {"from": ..., "to": ...}}


def descent_of(row: Any) -> Descent | None:
    """Of a row of the table `trials`; None for one of another search."""
    if row.generation is None:
        return None
    changes = None if row.changes is None else json.loads(row.changes)
    return Descent(row.generation, row.member, row.parent, changes)


def columns_of(descent: Descent | None) -> dict[str, Any]:
    """What the table `trials` holds of it."""
    if descent is None:
        return {}
    changes = None if descent.changes is None else json.dumps(descent.changes, sort_keys=True)
    return {**vars(descent), "changes": changes}


def newest_generations(c: Connection) -> set[int]:
    """Jobs of the last generation of every sweep that has not ended: the next continues them."""
    last = (
        select(trials.c.sweep_id, func.max(trials.c.generation).label("generation"))
        .join(sweeps, sweeps.c.id == trials.c.sweep_id)
        .where(sweeps.c.ended_at.is_(None), trials.c.generation.is_not(None))
        .group_by(trials.c.sweep_id)
        .subquery()
    )
    query = (
        select(trial_jobs.c.job_id)
        .join(
            trials,
            (trials.c.sweep_id == trial_jobs.c.sweep_id) & (trials.c.number == trial_jobs.c.number),
        )
        .join(
            last,
            (last.c.sweep_id == trials.c.sweep_id) & (last.c.generation == trials.c.generation),
        )
    )
    return set(c.scalars(query))


def ancestors(c: Connection, job_id: int) -> list[dict[str, Any]]:
    """The job and those whose fits it continues, the first generation first; [] without a lineage.

    Each is a row of the view `lineage`, its JSON read.
    """
    rows: list[dict[str, Any]] = []
    at: int | None = job_id
    while at is not None:
        row = c.execute(select(_lineage).where(_lineage.c.job_id == at).limit(1)).first()
        if row is None:
            break
        rows.insert(0, _read(row))
        at = row.parent_job_id
    return rows


def of_sweep(c: Connection, sweep: str) -> list[dict[str, Any]]:
    """All rows of the view for the sweep of that name, by trial, their JSON read."""
    query = select(_lineage).where(_lineage.c.sweep == sweep).order_by(_lineage.c.trial)
    return [_read(row) for row in c.execute(query)]


def _read(row: Any) -> dict[str, Any]:
    values = dict(row._mapping)
    for name in ("params", "changes"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return values
