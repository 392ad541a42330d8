"""Population-based training in SQL: which trial of a sweep continues which, and what was changed.

A generation has a trial for each member of the population; the trial's job continues the job of a
trial of the generation before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, column, select, table

from fitfleet.db.schema.lineage_views import COLUMNS

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
