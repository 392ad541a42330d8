"""The rows that a table has received since the last call, by their ascending ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

MANY = 10_000
# Ids are assigned before the commit: a missing one is looked for in this many further calls.
_CALLS = 150
_GAPS = 20


class NewRows:
    """What `query` gives of the rows that are new; it must have the numbers as `id`."""

    def __init__(self, number: sa.Column[int], query: sa.Select[Any]) -> None:
        self._number, self._query = number, query
        self._last: int | None = None
        self._gaps: list[tuple[int, int, int]] = []  # first, last, calls that they were missing

    def read(self, c: Connection) -> Sequence[Any]:
        """Nothing at the first call. At most `MANY` that are new, and those that come late."""
        if self._last is None:
            self._last = c.execute(select(func.max(self._number))).scalar() or 0
            return []
        is_new = [self._number > self._last]
        is_new += [self._number.between(first, last) for first, last, _ in self._gaps]
        rows = [row for condition in is_new for row in self._read(c, condition)]
        self._note(sorted(row.id for row in rows))
        return rows

    def _read(self, c: Connection, condition: sa.ColumnElement[bool]) -> Sequence[Any]:
        return c.execute(self._query.where(condition).order_by(self._number).limit(MANY)).all()

    def _note(self, numbers: list[int]) -> None:
        assert self._last is not None
        gaps = [(first, last, calls + 1) for first, last, calls in self._gaps if calls < _CALLS]
        newest = max([self._last, *numbers])
        gaps.append((self._last + 1, newest, 0))
        self._gaps = [part for gap in gaps for part in _without(gap, numbers)][-_GAPS:]
        self._last = newest


def _without(gap: tuple[int, int, int], numbers: list[int]) -> list[tuple[int, int, int]]:
    """What is left of a gap without these numbers, which are in order."""
    first, last, calls = gap
    parts = []
    for number in numbers:
        if first <= number <= last:
            parts.append((first, number - 1, calls))
            first = number + 1
    parts.append((first, last, calls))
    return [part for part in parts if part[0] <= part[1]]
