"""Metrics of epochs and scores of evaluations, fenced by the claim that writes them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Double,
    Integer,
    Table,
    bindparam,
    func,
    literal_column,
    update,
)

from fitfleet.db.attempts.claims import Claim, held
from fitfleet.db.dialect import storable_text, upsert
from fitfleet.db.schema.tables import jobs, metrics, scores
from fitfleet.db.session import now

_MAX_NAME_LENGTH = 128  # characters of a column


@dataclass(frozen=True)
class EpochMetrics:
    """Keras's logs of one epoch of one job. Epochs count from 1."""

    claim: Claim
    epoch: int
    logs: Mapping[str, float]


def record(c: Connection, rows: Sequence[EpochMetrics]) -> set[tuple[int, int]]:
    """Write epochs of one or more jobs in this transaction; the (job id, attempt) that held.

    Rows of a lost claim are left out. A repeated epoch overwrites the earlier value.
    """
    newest: dict[tuple[int, int], EpochMetrics] = {}
    for row in rows:
        key = row.claim.key
        if key not in newest or row.epoch > newest[key].epoch:
            newest[key] = row
    held_keys = _advance(c, list(newest.values()), _first_nan(rows))
    write_epochs(c, [row for row in rows if row.claim.key in held_keys])
    return held_keys


def write_epochs(c: Connection, rows: Sequence[EpochMetrics]) -> None:
    """Write epochs whose claims are known to hold, and leave the rows of the jobs alone."""
    values = [value for row in rows for value in _values(row)]
    _upsert(c, metrics, ["value"], values)


def has_nan(logs: Mapping[str, float]) -> bool:
    """Whether a loss of an epoch, of the training or the validation rows, is no finite number."""
    return not all(math.isfinite(logs.get(name, 0.0)) for name in ("loss", "val_loss"))


def _first_nan(rows: Sequence[EpochMetrics]) -> dict[tuple[int, int], int]:
    first: dict[tuple[int, int], int] = {}
    for row in rows:
        if has_nan(row.logs):
            first[row.claim.key] = min(row.epoch, first.get(row.claim.key, row.epoch))
    return first


def _advance(
    c: Connection, rows: Sequence[EpochMetrics], first_nan: Mapping[tuple[int, int], int]
) -> set[tuple[int, int]]:
    """Set the epoch of each job that is still held, and the first whose loss was not finite."""
    held_keys = held(c, [row.claim for row in rows]) if rows else set()
    held_rows = [row for row in rows if row.claim.key in held_keys]
    if held_rows:
        values = [
            {"of": row.claim.job_id, "last": row.epoch, "nan": first_nan.get(row.claim.key)}
            for row in held_rows
        ]
        c.execute(_progress(str(now(c))), values)
    return held_keys


@functools.cache
def _progress(at: str) -> Any:
    """Cached: building the statement costs more than running it."""
    return (
        update(jobs)
        .where(jobs.c.id == bindparam("of"))
        .values(
            epoch=bindparam("last"),
            progress_at=literal_column(at, Double()),
            nan_epoch=func.coalesce(jobs.c.nan_epoch, bindparam("nan", type_=Integer())),
        )
    )


def _values(row: EpochMetrics) -> list[dict[str, Any]]:
    return [
        {
            "job_id": row.claim.job_id,
            "epoch": row.epoch,
            "metric": _storable_name(name.removeprefix("val_")),
            "phase": "val" if name.startswith("val_") else "train",
            "value": _storable(value),
        }
        for name, value in row.logs.items()
    ]


def score_rows(claim: Claim, values: Mapping[str, float], source: str) -> list[dict[str, Any]]:
    """Scores of one source as rows of the table."""
    return [
        {
            "job_id": claim.job_id,
            "name": _storable_name(name),
            "value": _storable(value),
            "source": source,
        }
        for name, value in values.items()
    ]


def write_scores(c: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of scores whose claims are known to hold."""
    _upsert(c, scores, ["value", "source"], rows)


def _upsert(
    c: Connection, table: Table, changed: Sequence[str], rows: Sequence[dict[str, Any]]
) -> None:
    """The last of rows with one primary key counts: a statement may write each only once."""
    names = [column.name for column in table.primary_key.columns]
    last = {tuple(row[name] for name in names): row for row in rows}
    if last:
        c.execute(upsert(c, table, changed), list(last.values()))


def _storable_name(name: str) -> str:
    """Evaluators name scores as they like, and that must not keep a job from its end."""
    return storable_text(name)[:_MAX_NAME_LENGTH]


def _storable(value: float) -> float | None:
    """SQLite turns NaN into NULL; so does PostgreSQL here, to answer the same."""
    return None if math.isnan(value) else float(value)
