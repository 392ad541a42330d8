"""An experiment's jobs, sorted, filtered and paged in SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from fitfleet.db.pages.columns import TEXTS, Columns
from fitfleet.db.schema.tables import experiments, job_labels, jobs, metrics, scores

# Values of a parameter that are kept for a filter's list.
_DISTINCT = 200


@dataclass(frozen=True)
class JobQuery:
    """Which jobs, and in which order. Columns are named as in db/pages/columns."""

    experiment_id: int
    sort: str = "job"
    is_descending: bool = False
    search: str = ""  # in the params, the number of a job, or #tag
    statuses: Sequence[str] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ids: Sequence[int] = ()  # only these


@dataclass(frozen=True)
class Facets:
    """What an experiment's jobs have: names in the order of their first use."""

    params: dict[str, list[Any]]  # name -> its distinct values, up to a bound
    metrics: list[str]  # Keras's names
    scores: list[str]

    @property
    def differing(self) -> list[str]:
        """Parameters with more than one value, or that some jobs have not."""
        return [name for name, values in self.params.items() if len(values) > 1]

    @property
    def columns(self) -> list[str]:
        """All but the columns that every job has."""
        return [
            *(f"param.{name}" for name in self.params),
            *(f"metric.{name}" for name in self.metrics),
            *(f"score.{name}" for name in self.scores),
        ]

    def joined(self, more: Facets) -> Facets:
        """Those of the jobs of both."""
        if not more.params and not more.metrics:
            return self
        metric_names = sorted({*self.metrics, *more.metrics}, key=_order)
        params = {
            name: _distinct([*self.params.get(name, [None]), *more.params.get(name, [None])])
            for name in {**self.params, **more.params}
        }
        return Facets(params, metric_names, sorted({*self.scores, *more.scores}))


def find(c: Connection, name: str) -> dict[str, Any] | None:
    """The experiment of that name: id, is_paused, max_running, created_at."""
    row = c.execute(select(experiments).where(experiments.c.name == name)).first()
    return None if row is None else dict(row._mapping)


def page(c: Connection, wanted: JobQuery, limit: int | None = None) -> list[int]:
    """The numbers of the first jobs. Those without a value of the sorted column come last."""
    columns = Columns(select(jobs.c.id), c.dialect.name)
    value = columns.sorting(wanted.sort)
    conditions = _conditions(columns, wanted)
    order = value.desc() if wanted.is_descending else value.asc()
    query = columns.query.where(*conditions).order_by(order.nulls_last(), jobs.c.id)
    return list(c.scalars(query.limit(limit)))


def values(c: Connection, wanted: JobQuery) -> list[tuple[int, Any]]:
    """(job, value of the sorted column) of all jobs, in no order."""
    columns = Columns(select(jobs.c.id), c.dialect.name)
    value = columns.sorting(wanted.sort)
    conditions = _conditions(columns, wanted)
    query = columns.query.add_columns(value.label("value")).where(*conditions)
    return [(job_id, sorted_by) for job_id, sorted_by in c.execute(query)]


def points(c: Connection, ids: Sequence[int], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """(job, status, value of each named column) of these jobs, in their order, for pictures."""
    columns = Columns(select(jobs.c.id, jobs.c.status), c.dialect.name)
    values = [columns.text(n) if n in TEXTS else columns.sorting(n) for n in names]
    query = columns.query.add_columns(*(v.label(f"v{i}") for i, v in enumerate(values)))
    rows = {row.id: tuple(row) for row in c.execute(query.where(jobs.c.id.in_(ids)))}
    return [rows[job_id] for job_id in ids if job_id in rows]


def _conditions(columns: Columns, wanted: JobQuery) -> list[Any]:
    conditions: list[Any] = [jobs.c.experiment_id == wanted.experiment_id]
    if wanted.statuses:
        conditions.append(jobs.c.status.in_(wanted.statuses))
    if wanted.ids:
        conditions.append(jobs.c.id.in_(wanted.ids))
    for word in wanted.search.split():
        conditions.append(_tagged(columns, word[1:]) if word.startswith("#") else _search(word))
    for name, (low, high) in wanted.ranges.items():
        conditions.append(columns.number(name).between(low, high))
    for name, values in wanted.values.items():
        conditions.append(columns.text(name).in_(values))
    return conditions


def _tagged(columns: Columns, tag: str) -> Any:
    columns.join_labels()
    return job_labels.c.tags.ilike(f'%"{_escaped(tag)}%', escape="\\")


def _search(word: str) -> Any:
    """`units=32` and parts of names and values; a number is a job's too."""
    name, is_pair, value = word.partition("=")
    if is_pair:
        text = f'%"{_escaped(name)}": %{_escaped(value)}%'
        return jobs.c.params.ilike(text, escape="\\")
    matches = jobs.c.params.ilike(f"%{_escaped(word)}%", escape="\\")
    return sa.or_(matches, jobs.c.id == int(word)) if _is_job(word) else matches


def _is_job(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 18


def _escaped(text: str) -> str:
    """For LIKE; what is not ASCII stands in the JSON as an escape."""
    quoted = json.dumps(text)[1:-1]
    return quoted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def facets(c: Connection, experiment_id: int, ids: Sequence[int] = ()) -> Facets:
    """Which parameters, metrics and scores the jobs of an experiment have, or these of them."""
    condition = jobs.c.experiment_id == experiment_id
    if ids:
        condition &= jobs.c.id.in_(ids)
    texts = c.scalars(select(jobs.c.params).where(condition).distinct()).all()
    last = (metrics.c.job_id == jobs.c.id) & (metrics.c.epoch == jobs.c.epoch)
    recorded = _of_each(c, condition, last, metrics.c.metric, metrics.c.phase)
    names = {f"val_{m}" if phase == "val" else m for m, phase in recorded}
    named = _of_each(c, condition, scores.c.job_id == jobs.c.id, scores.c.name)
    return Facets(_params(texts), sorted(names, key=_order), sorted(name for (name,) in named))


def _of_each(
    c: Connection,
    condition: sa.ColumnElement[bool],
    belongs: sa.ColumnElement[bool],
    *columns: sa.Column[Any],
) -> list[tuple[Any, ...]]:
    """The distinct values of columns of another table, over the rows that belong to these jobs.

    Job by job, through an index: PostgreSQL would rather read the other table as a whole.
    """
    rows = select(*columns).where(belongs)
    if c.dialect.name == "sqlite":
        query = rows.select_from(jobs).where(condition).distinct()
    else:
        each = rows.correlate(jobs).offset(0).lateral("each")
        query = select(*each.c).select_from(jobs).join(each, sa.true()).where(condition).distinct()
    return [tuple(row) for row in c.execute(query)]


def _params(texts: Sequence[str]) -> dict[str, list[Any]]:
    documents = [json.loads(text) for text in texts]
    names = dict.fromkeys(name for document in documents for name in document)
    return {name: _distinct([document.get(name) for document in documents]) for name in names}


def _distinct(values: Sequence[Any]) -> list[Any]:
    by_text = {json.dumps(value, sort_keys=True): value for value in values}
    return sorted(by_text.values(), key=_by_kind)[:_DISTINCT]


def _by_kind(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return (not is_number, float(value) if is_number else 0.0, str(value))


def _order(name: str) -> tuple[bool, bool, str]:
    """The loss before its metrics, each before its validation."""
    plain = name.removeprefix("val_")
    return (plain != "loss", False, f"{plain} {name != plain}")


def metric_values(c: Connection, job_ids: Sequence[int]) -> dict[int, dict[str, float | None]]:
    """Job -> Keras's name -> its value at the epoch whose weights are kept; None is NaN."""
    kept = func.coalesce(jobs.c.kept_epoch, jobs.c.epoch)
    query = (
        select(metrics)
        .join(jobs, (jobs.c.id == metrics.c.job_id) & (metrics.c.epoch == kept))
        .where(jobs.c.id.in_(job_ids))
    )
    values: dict[int, dict[str, float | None]] = {}
    for row in c.execute(query):
        name = f"val_{row.metric}" if row.phase == "val" else row.metric
        values.setdefault(row.job_id, {})[name] = row.value
    return values
