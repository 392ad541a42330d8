"""What attempts were measured to need of memory, kept for the prediction of others like them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, and_, select, update

from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.schema.tables import memory_peaks
from fitfleet.db.session import now
from fitfleet.spec.memory import FitKind, MemoryPoint, Need, predict

CPU = "cpu"
_KEY = [column.name for column in memory_peaks.primary_key.columns]
_FIGURES = ["peak_bytes", "framework_bytes", "driver_bytes", "bound_bytes"]


@dataclass(frozen=True)
class Measurement:
    """The memory of one attempt, which it shares with those that it was trained with."""

    kind: FitKind
    engine: str
    cohort: int  # jobs trained at once
    device: str  # cpu, or the model of the GPU
    size_bytes: int
    framework_bytes: int | None = None
    driver_bytes: int | None = None
    is_bound: bool = False  # it ran out of memory: a lower bound of its need

    @property
    def key(self) -> tuple[Any, ...]:
        """Of its row."""
        kind = self.kind
        of_kind = (kind.architecture, kind.batch_size, kind.dtype, kind.optimizer)
        return (*of_kind, self.engine, self.cohort, self.device)


def record(c: Connection, measurements: Iterable[Measurement]) -> None:
    """Keep the largest figures. A measurement below them writes nothing."""
    by_key: dict[tuple[Any, ...], list[Measurement]] = {}
    for measurement in measurements:
        by_key.setdefault(measurement.key, []).append(measurement)
    # In one order, so that two transactions do not wait for each other.
    for key in sorted(by_key):
        of_row = dict(zip(_KEY, key, strict=True))
        condition = and_(*(memory_peaks.c[name] == value for name, value in of_row.items()))
        before = _figures(c, condition)
        if _larger(before, by_key[key]) == before:
            continue
        fresh = {"peak_bytes": 0, "bound_bytes": 0, "measured_at": 0.0}
        c.execute(insert_ignoring(c, memory_peaks), [of_row | fresh])
        figures = _larger(_figures(c, condition, is_locking=True), by_key[key])
        c.execute(update(memory_peaks).where(condition).values(**figures, measured_at=now(c)))


def _figures(
    c: Connection, condition: sa.ColumnElement[bool], *, is_locking: bool = False
) -> dict[str, Any]:
    query = select(*(memory_peaks.c[name] for name in _FIGURES)).where(condition)
    if is_locking and c.dialect.name == "postgresql":
        query = query.with_for_update()
    row = c.execute(query).first()
    return dict.fromkeys(_FIGURES) if row is None else dict(row._mapping)


def _larger(before: dict[str, Any], measured: Sequence[Measurement]) -> dict[str, Any]:
    figures = {
        "peak_bytes": before["peak_bytes"] or 0,
        "framework_bytes": before["framework_bytes"],
        "driver_bytes": before["driver_bytes"],
        "bound_bytes": before["bound_bytes"] or 0,
    }
    for measurement in measured:
        if measurement.is_bound:
            figures["bound_bytes"] = max(figures["bound_bytes"], measurement.size_bytes)
        elif measurement.size_bytes > figures["peak_bytes"]:
            figures["peak_bytes"] = measurement.size_bytes
            figures["framework_bytes"] = measurement.framework_bytes
            figures["driver_bytes"] = measurement.driver_bytes
    return figures


def points(c: Connection, kind: FitKind, *, is_gpu: bool) -> list[MemoryPoint]:
    """What fits of this architecture, dtype and optimizer needed, with any batch and cohort.

    On a GPU of whichever model.
    """
    t = memory_peaks.c
    query = select(t.batch_size, t.cohort, t.peak_bytes, t.bound_bytes).where(
        t.architecture == kind.architecture,
        t.dtype == kind.dtype,
        t.optimizer == kind.optimizer,
        (t.device != CPU) if is_gpu else (t.device == CPU),
    )
    return [MemoryPoint(*row) for row in c.execute(query)]


def predicted(c: Connection, kind: FitKind, *, is_gpu: bool) -> Need | None:
    """What a fit of this kind needs; None: nothing is known of it."""
    return predict(points(c, kind, is_gpu=is_gpu), kind.batch_size)
