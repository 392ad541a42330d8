"""Several jobs: a list, which a notebook shows as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitfleet.client.display.names import labels
from fitfleet.client.job import Job
from fitfleet.db.reading.lookup import JobRow
from fitfleet.text import duration, html_table

_SHOWN = 50


class Jobs(list[Job]):
    """A list of jobs. What a notebook shows of it is as of each job's last refresh."""

    def _repr_html_(self) -> str:
        rows = [job.row for job in self[:_SHOWN]]
        more = f"... and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return rows_html(rows, note=more)


def rows_html(rows: Sequence[JobRow], note: str = "") -> str:
    """Jobs as an HTML table: number, experiment, status, what distinguishes them, epochs, time."""
    header = ["job", "experiment", "status", "", "epoch", "time", "note"]
    lines: list[list[Any]] = [
        [
            row.id,
            row.experiment,
            row.status.value,
            label,
            f"{row.epoch}/{row.epochs}",
            duration(row.seconds) if row.seconds else "",
            _note(row),
        ]
        for row, label in zip(rows, labels(rows), strict=True)
    ]
    return html_table(header, lines, note)


def _note(row: JobRow) -> str:
    if row.failure_class is not None:
        return f"{row.failure_class}: {row.failure_message}"
    return row.remark
