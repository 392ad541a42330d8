"""The jobs of a view of an experiment in its order, brought up to date by the jobs that changed.

Sorting ten thousand jobs by a metric looks up as many values; a job that has ended an epoch is one.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from fitfleet.db.pages import table
from fitfleet.db.pages.columns import TEXTS
from fitfleet.db.pages.table import JobQuery

# More than these are not looked up one by one.
_MANY = 1_000


@dataclass(frozen=True)
class Ranking:
    """Numbers of jobs in order, and what the first of them are sorted by; the rest has no value."""

    ids: array[int]
    keys: array[float]

    @classmethod
    def of(cls, keyed: Iterable[tuple[float, int]], rest: Iterable[int]) -> Ranking:
        """Smallest key first; of equal ones and of those without, the smallest number."""
        pairs = sorted(keyed)
        ids = array("q", [job_id for _, job_id in pairs])
        ids.extend(sorted(rest))
        return cls(ids, array("d", [key for key, _ in pairs]))

    def without(self, jobs: Collection[int]) -> tuple[list[tuple[float, int]], list[int]]:
        """(key and number, numbers without a key) of the others."""
        keyed = zip(self.keys, self.ids, strict=False)
        rest = self.ids[len(self.keys) :]
        return [p for p in keyed if p[1] not in jobs], [i for i in rest if i not in jobs]


def read(c: Connection, wanted: JobQuery) -> Ranking:
    """All jobs of the view."""
    if not _is_number(wanted.sort):
        ids = table.page(c, wanted)
        return Ranking(array("q", ids), array("d", range(len(ids))))
    return Ranking.of(*_keyed(c, wanted))


def update(
    c: Connection, wanted: JobQuery, ranking: Ranking, jobs: frozenset[int]
) -> Ranking | None:
    """The same after something happened to these jobs; None: it is to be read anew."""
    if len(jobs) > _MANY or (wanted.sort in TEXTS and wanted.sort != "queue"):
        return None
    changed = replace(wanted, ids=sorted(jobs))
    if _is_number(wanted.sort):
        (keyed, rest), (more, without) = ranking.without(jobs), _keyed(c, changed)
        return Ranking.of([*keyed, *more], [*rest, *without])
    # By what a job keeps: it stays where it is, or does not belong to the view any more.
    there = set(table.page(c, changed))
    if not there.issubset(ranking.ids):
        return None
    return Ranking.of(*ranking.without(jobs - there))


def _is_number(column: str) -> bool:
    return not column.startswith("param.") and column not in TEXTS


def _keyed(c: Connection, wanted: JobQuery) -> tuple[list[tuple[float, int]], list[int]]:
    sign = -1.0 if wanted.is_descending else 1.0
    keyed, rest = [], []
    for job_id, value in table.values(c, wanted):
        if value is None or value != value:  # NaN
            rest.append(job_id)
        else:
            keyed.append((sign * value, job_id))
    return keyed, rest
