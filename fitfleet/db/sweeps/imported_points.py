"""Points of a sweep that another program has measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert

from fitfleet.db.schema.import_tables import imported_trials


@dataclass(frozen=True)
class ImportedPoint:
    """A trial of another program, as a point of this sweep."""

    source: str
    trial: str
    point: Mapping[str, Any]
    objectives: Mapping[str, float | None]
    left_out: str | None
    unused: str | None


def write(c: Connection, sweep_id: int, points: Sequence[ImportedPoint]) -> None:
    """Write those of a new sweep down, in their order."""
    rows = [
        {
            **vars(point),
            "sweep_id": sweep_id,
            "number": number,
            "point": json.dumps(point.point, sort_keys=True),
            "objectives": json.dumps(point.objectives),
        }
        for number, point in enumerate(points)
    ]
    if rows:
        c.execute(insert(imported_trials), rows)
