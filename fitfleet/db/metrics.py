"""Metrics of epochs and scores of evaluations, fenced by the claim that writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from fitfleet.db.dialect import upsert
from fitfleet.db.leases import Claim, holds
from fitfleet.db.session import now
from fitfleet.db.tables import jobs, metrics, scores


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
    held = {key for key, row in newest.items() if _advance(c, row)}
    values = [
        value
        for row in rows
        if (row.claim.job_id, row.claim.attempt) in held
        for value in _values(row)
    ]
    if values:
        c.execute(upsert(c, metrics, ["value"]), values)
    return held


def _advance(c: Connection, row: EpochMetrics) -> bool:
    won = c.execute(
        update(jobs).where(holds(row.claim)).values(epoch=row.epoch, progress_at=now(c))
    ).rowcount
    return bool(won)


def _values(row: EpochMetrics) -> list[dict[str, Any]]:
    return [
        {
            "job_id": row.claim.job_id,
            "epoch": row.epoch,
            "metric": name.removeprefix("val_"),
            "phase": "val" if name.startswith("val_") else "train",
            "value": _storable(value),
        }
        for name, value in row.logs.items()
    ]


def record_scores(c: Connection, claim: Claim, found: Mapping[str, float], source: str) -> bool:
    """Write scores of the evaluation after the fit. False: the claim was lost."""
    query = select(jobs.c.id).where(holds(claim))
    if c.dialect.name == "postgresql":
        query = query.with_for_update()
    if c.execute(query).first() is None:
        return False
    rows = [
        {"job_id": claim.job_id, "name": name, "value": _storable(value), "source": source}
        for name, value in found.items()
    ]
    if rows:
        c.execute(upsert(c, scores, ["value", "source"]), rows)
    return True


def _storable(value: float) -> float | None:
    """SQLite turns NaN into NULL; so does PostgreSQL here, to answer the same."""
    return None if math.isnan(value) else float(value)
