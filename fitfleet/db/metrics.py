"""Metrics of epochs and scores of evaluations, fenced by the claim that writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, update

from fitfleet.db.claims import Claim, holds, lock, still_holds
from fitfleet.db.dialect import upsert
from fitfleet.db.session import now
from fitfleet.db.tables import jobs, metrics, scores

_NAME_MOST = 128  # characters of a column; a name that is too long must not stop the recorder


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
        key = (row.claim.job_id, row.claim.attempt)
        if key not in newest or row.epoch > newest[key].epoch:
            newest[key] = row
    held = _advance(c, list(newest.values()))
    values = [
        value
        for row in rows
        if (row.claim.job_id, row.claim.attempt) in held
        for value in _values(row)
    ]
    if values:
        c.execute(upsert(c, metrics, ["value"]), values)
    return held


def _advance(c: Connection, rows: Sequence[EpochMetrics]) -> set[tuple[int, int]]:
    """Set the epoch of each job, one statement for all that are at the same epoch."""
    lock(c, (row.claim.job_id for row in rows))
    at_epoch: dict[int, list[Claim]] = {}
    for row in rows:
        at_epoch.setdefault(row.epoch, []).append(row.claim)
    held = set()
    for epoch, claims in at_epoch.items():
        statement = (
            update(jobs)
            .where(or_(*(holds(one) for one in claims)))
            .values(epoch=epoch, progress_at=now(c))
            .returning(jobs.c.id, jobs.c.attempt)
        )
        held |= {(row.id, row.attempt) for row in c.execute(statement)}
    return held


def _values(row: EpochMetrics) -> list[dict[str, Any]]:
    return [
        {
            "job_id": row.claim.job_id,
            "epoch": row.epoch,
            "metric": name.removeprefix("val_")[:_NAME_MOST],
            "phase": "val" if name.startswith("val_") else "train",
            "value": _storable(value),
        }
        for name, value in row.logs.items()
    ]


def record_scores(c: Connection, claim: Claim, found: Mapping[str, float], source: str) -> bool:
    """Write scores of the evaluation after the fit. False: the claim was lost."""
    if not still_holds(c, claim):
        return False
    rows = [
        {
            "job_id": claim.job_id,
            "name": name[:_NAME_MOST],
            "value": _storable(value),
            "source": source,
        }
        for name, value in found.items()
    ]
    if rows:
        c.execute(upsert(c, scores, ["value", "source"]), rows)
    return True


def _storable(value: float) -> float | None:
    """SQLite turns NaN into NULL; so does PostgreSQL here, to answer the same."""
    return None if math.isnan(value) else float(value)
