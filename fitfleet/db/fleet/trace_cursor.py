"""Up to which ended job the traces have been sent, and which scheduler sends now.

The jobs' own rows are the queue: sending costs a worker nothing, and what was not sent before a
restart, or while the receiver was away, is still there.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection, Double, literal_column, select, update

from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.schema.tables import trace_cursor
from fitfleet.db.session import now, read_clock

_NAME = "otlp"
_SENDING_S = 60.0  # after which another scheduler takes over what one was sending
_KEPT_S = 86_400.0  # older ends are not sent any more
_MIN_PAUSE_S = 10.0
_MAX_PAUSE_S = 600.0
_MARGIN_S = 1.0

# Its time, the oldest transaction that is open, and a number above all that have begun: its own,
# since the xmax of a snapshot leaves out those begun after the last one that has ended.
_SNAPSHOT = select(
    literal_column("extract(epoch from statement_timestamp())::double precision", Double()),
    sa.func.txid_snapshot_xmin(sa.func.txid_current_snapshot()),
    sa.func.txid_current(),
)


@dataclass(frozen=True, order=True)
class Position:
    """The last job that was sent."""

    finished_at: float
    job_id: int


class Horizon:
    """Until when no more jobs can have ended than are visible now.

    A transaction that commits later may have read its clock earlier. SQLite has one writer, so
    there it is always now. On PostgreSQL it is the last call before all transactions began that are
    still open.
    """

    def __init__(self) -> None:
        self._at = -math.inf
        self._calls: deque[tuple[int, float]] = deque(maxlen=10_000)  # next transaction, time

    def until(self, c: Connection) -> float:
        """In seconds of the database's clock."""
        if c.dialect.name != "postgresql":
            return math.inf
        at, oldest_open, following = c.execute(_SNAPSHOT).one()
        self._calls.append((following, at - _MARGIN_S))
        while self._calls and self._calls[0][0] <= oldest_open:
            self._at = self._calls.popleft()[1]
        return self._at


def begin(c: Connection) -> None:
    """Of jobs that end from now on traces are sent, unless they are already."""
    values = {"name": _NAME, "finished_at": read_clock(c), "job_id": 0}
    c.execute(insert_ignoring(c, trace_cursor), {**values, "held_until": 0.0, "failures": 0})


def position(c: Connection) -> Position | None:
    """Where to continue; None: it has not begun, or it is not time yet."""
    row = c.execute(select(trace_cursor).where(_is_free(c))).first()
    if row is None:
        return None
    oldest = Position(read_clock(c) - _KEPT_S, 0)
    return max(oldest, Position(row.finished_at, row.job_id))


def hold(c: Connection) -> bool:
    """Lock the cursor, so that no other scheduler sends the same; False if one has it."""
    taken = update(trace_cursor).where(_is_free(c)).values(held_until=now(c) + _SENDING_S)
    return bool(c.execute(taken).rowcount)


def advance(c: Connection, to: Position, refused: int = 0) -> None:
    """All up to there are sent, except `refused` jobs that the receiver rejects for good."""
    values = {"finished_at": to.finished_at, "job_id": to.job_id}
    counted = {"refused": trace_cursor.c.refused + refused}
    statement = update(trace_cursor).where(trace_cursor.c.name == _NAME)
    c.execute(statement.values(**values, **counted, held_until=0.0, failures=0))


def refused(c: Connection) -> int:
    """Of how many jobs the receiver has refused the traces for good."""
    return int(c.scalar(select(sa.func.sum(trace_cursor.c.refused))) or 0)


def postpone(c: Connection) -> float:
    """They could not be sent: in how many seconds to try again."""
    condition = trace_cursor.c.name == _NAME
    failures = int(c.execute(select(trace_cursor.c.failures).where(condition)).scalar_one())
    pause_s: float = min(_MAX_PAUSE_S, _MIN_PAUSE_S * 2.0 ** min(failures, 10))
    values = {"held_until": now(c) + pause_s, "failures": failures + 1}
    c.execute(update(trace_cursor).where(condition).values(**values))
    return pause_s


def _is_free(c: Connection) -> sa.ColumnElement[bool]:
    return (trace_cursor.c.name == _NAME) & (trace_cursor.c.held_until <= now(c))
