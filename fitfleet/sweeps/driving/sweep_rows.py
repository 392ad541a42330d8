"""The row of a sweep: created, found again, ended."""

from __future__ import annotations

from fitfleet.db.jobs import experiments as experiment_table
from fitfleet.db.session import Database
from fitfleet.db.sweeps import imported_points
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.db.sweeps.sweeps import SweepRow
from fitfleet.errors import NotFoundError, SearchError
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.design.imported_rows import rows_of


def open_sweep(database: Database, design: Design) -> SweepRow:
    """Create the row of a sweep, or find the one with the same design.

    SearchError if the name is taken by another design.
    """
    with database.begin() as c:
        row, is_new = sweep_table.create(
            c, design.name, design.experiment, design.to_json(), design.budget_s
        )
        if not is_new and Design.from_json(row.document) != design:
            raise SearchError(
                f"sweep {design.name!r} exists with another design; give this one another name=,"
                f" or resume the old one by fleet.resume_sweep({design.name!r})"
            )
        if is_new:
            imported_points.write(c, row.id, rows_of(design))
        if design.max_running is not None and row.ended_at is None:
            experiment_table.limit_running(c, design.experiment, design.max_running)
    return row


def close_sweep(database: Database, row: SweepRow) -> None:
    """End a sweep, and its `max_running` unless another open sweep has one.

    It may be called again; only the first call does anything.
    """
    with database.begin() as c:
        if not sweep_table.end(c, row.id) or Design.from_json(row.document).max_running is None:
            return
        others = sweep_table.listed(c, only_open=True)
        limits = [
            Design.from_json(other.document).max_running
            for other in others
            if other.experiment == row.experiment
        ]
        left = [limit for limit in limits if limit is not None]
        experiment_table.limit_running(c, row.experiment, min(left, default=None))


def find_sweep(database: Database, name: str) -> SweepRow:
    """The sweep of that name. NotFoundError lists those that exist."""
    with database.read() as c:
        row = sweep_table.find(c, name)
        known = [] if row else [other.name for other in sweep_table.listed(c)]
    if row is None:
        there = f"there are {', '.join(known[-10:])}" if known else "there is none yet"
        raise NotFoundError(f"{name}: no such sweep; {there}")
    return row
