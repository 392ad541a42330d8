"""The columns of an experiment's table as SQL: a job's own, a parameter, a metric, a score.

A column is named as in a URL: `seconds`, `param.units`, `metric.val_loss`, `score.test_accuracy`.
A metric's value is that of the job's last epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import JSONB

from fitfleet.db.schema.tables import job_labels, jobs, metrics, scores

PLAIN: dict[str, sa.Column[Any]] = {
    "job": jobs.c.id,
    "status": jobs.c.status,
    "seed": jobs.c.seed,
    "fold": jobs.c.fold,
    "epoch": jobs.c.epoch,
    "seconds": jobs.c.seconds,
    "priority": jobs.c.priority,
    "attempts": jobs.c.attempt,
    "failures": jobs.c.failures,
    "parameters": jobs.c.parameters,
    "engine": jobs.c.engine,
    "queue": jobs.c.queue,
    "submitted": jobs.c.submitted_at,
    "finished": jobs.c.finished_at,
    "tags": job_labels.c.tags,
    "note": job_labels.c.note,
}
TEXTS = ("status", "engine", "queue", "tags", "note")
_LABELS = ("tags", "note")


class Columns:
    """A query over jobs, and what its columns are in SQL."""

    def __init__(self, query: Select[Any], dialect: str) -> None:
        self.query = query
        self._dialect = dialect
        self._sorted_by: dict[str, Any] = {}
        self._has_labels = False

    def sorting(self, name: str) -> Any:
        """What rows are sorted by."""
        if name not in self._sorted_by:
            self._sorted_by[name] = self._make(name)
        return self._sorted_by[name]

    def number(self, name: str) -> Any:
        """The column as a number; NULL where it is none."""
        value = self.sorting(name)
        if not name.startswith("param."):
            return value
        if self._dialect == "sqlite":
            kind = sa.func.typeof(value)
            return sa.case((kind.in_(("integer", "real")), sa.type_coerce(value, sa.Double())))
        kind = sa.func.jsonb_typeof(value)
        return sa.case((kind == "number", sa.cast(value, sa.Double())))

    def text(self, name: str) -> Any:
        """The column as text, as a user would write it."""
        if not name.startswith("param."):
            return sa.cast(self.sorting(name), sa.Text())
        key = name.removeprefix("param.")
        if self._dialect == "sqlite":
            return sa.cast(self.sorting(name), sa.Text())
        return sa.cast(jobs.c.params, JSONB()).op("->>")(key)

    def _make(self, name: str) -> Any:
        if name in _LABELS:
            self.join_labels()
        if name in PLAIN:
            return PLAIN[name]
        kind, _, key = name.partition(".")
        if kind == "param":
            if self._dialect == "sqlite":
                return sa.type_coerce(jobs.c.params, sa.Text()).op("->>")(key)
            return sa.cast(jobs.c.params, JSONB()).op("->")(key)
        return _recorded(kind, key)

    def join_labels(self) -> None:
        """Tags and notes, which few jobs have."""
        if not self._has_labels:
            self._has_labels = True
            self.query = self.query.outerjoin(job_labels, job_labels.c.job_id == jobs.c.id)


def _recorded(kind: str, key: str) -> Any:
    """A metric or a score of the job.

    Not by a join: PostgreSQL would read all metrics there are to sort a thousand jobs.
    """
    if kind == "metric":
        table: sa.Table = metrics
        condition = (
            (metrics.c.job_id == jobs.c.id)
            & (metrics.c.epoch == sa.func.coalesce(jobs.c.kept_epoch, jobs.c.epoch))
            & (metrics.c.metric == key.removeprefix("val_"))
            & (metrics.c.phase == ("val" if key.startswith("val_") else "train"))
        )
    else:
        table = scores
        condition = (scores.c.job_id == jobs.c.id) & (scores.c.name == key)
    return sa.select(table.c.value).where(condition).correlate(jobs).scalar_subquery()


def is_known(name: str, known: Iterable[str]) -> bool:
    """Whether a name that came in a URL is a column of this experiment."""
    return name in PLAIN or name in known
