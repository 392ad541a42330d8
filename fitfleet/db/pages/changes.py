"""What changed since the last poll, for a page that is kept up to date: a few small queries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from fitfleet.db.pages.new_rows import MANY, NewRows
from fitfleet.db.schema.tables import audit, events, jobs, workers
from fitfleet.db.session import read_clock
from fitfleet.states import JobStatus

_IN_FLIGHT = (JobStatus.DISPATCHED, JobStatus.RUNNING)
# A transaction that ends later may carry an earlier time; those seen already are known.
_OVERLAP_S = 5.0
_SILENT_S = 15.0
_JOB = re.compile(r"job (\d{1,17})")

_INSERTED = select(jobs.c.id, jobs.c.experiment_id)
_EVENTS = select(events.c.id, events.c.job_id, jobs.c.experiment_id).outerjoin(
    jobs, jobs.c.id == events.c.job_id
)
_AUDITED = select(audit.c.id, audit.c.action, audit.c.target)

# (job, its experiment); None where it is not one job that something happened to.
Changed = Sequence[tuple[int | None, int | None]]


@dataclass(frozen=True)
class Changes:
    """What something happened to: jobs, each with its experiment; any of the workers."""

    jobs: Mapping[int, int] = field(default_factory=dict)
    is_fleet_changed: bool = False
    # Something that is not of one job, such as a pause; or more jobs than are named.
    is_everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.jobs) or self.is_fleet_changed or self.is_everything


@dataclass
class Watch:
    """Polls the database, and says what is new since its last poll."""

    _in_flight: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    _finished: dict[int, float] = field(default_factory=dict)
    _workers: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    _inserted: NewRows = field(default_factory=lambda: NewRows(jobs.c.id, _INSERTED))
    _events: NewRows = field(default_factory=lambda: NewRows(events.c.id, _EVENTS))
    _audited: NewRows = field(default_factory=lambda: NewRows(audit.c.id, _AUDITED))
    _is_first: bool = True

    def poll(self, c: Connection) -> Changes:
        """What happened since the last call; nothing at the first."""
        at = read_clock(c)
        news = [
            self._changed_in_flight(c),
            self._changed_ended(c, at),
            [(row.id, row.experiment_id) for row in self._inserted.read(c)],
            [(row.job_id, row.experiment_id) for row in self._events.read(c)],
            self._changed_by_users(c),
        ]
        is_worker = self._are_workers_changed(c, at)
        is_first, self._is_first = self._is_first, False
        if is_first:
            return Changes()
        named = {job: its for part in news for job, its in part if job and its}
        is_everything = any(len(part) >= MANY for part in news)
        is_everything |= any(not (job and its) for part in news for job, its in part)
        return Changes(named, is_worker, is_everything)

    def _changed_in_flight(self, c: Connection) -> Changed:
        query = select(
            jobs.c.id,
            jobs.c.experiment_id,
            jobs.c.status,
            jobs.c.epoch,
            jobs.c.attempt,
            jobs.c.request,
        ).where(jobs.c.status.in_(_IN_FLIGHT))
        seen = {row.id: tuple(row)[1:] for row in c.execute(query)}
        before, self._in_flight = self._in_flight, seen
        changed = {i for i, row in seen.items() if before.get(i) != row} | (set(before) - set(seen))
        return [(i, (seen.get(i) or before[i])[0]) for i in changed]

    def _changed_ended(self, c: Connection, at: float) -> Changed:
        query = select(jobs.c.id, jobs.c.experiment_id, jobs.c.finished_at).where(
            jobs.c.finished_at > at - _OVERLAP_S
        )
        rows = c.execute(query.limit(MANY)).all()
        before, self._finished = self._finished, {row.id: row.finished_at for row in rows}
        news = [(r.id, r.experiment_id) for r in rows if before.get(r.id) != r.finished_at]
        # More than are read: which of them are new is not known.
        return [*news, (None, None)] if len(rows) == MANY else news

    def _changed_by_users(self, c: Connection) -> Changed:
        """What people changed. Jobs that they submitted are seen as new rows."""
        targets = [row.target for row in self._audited.read(c) if row.action != "submit"]
        ids = [int(match[1]) for match in map(_JOB.fullmatch, targets) if match]
        others: Changed = [(None, None)] if len(ids) < len(targets) else []
        return [*self._with_experiments(c, ids), *others]

    def _with_experiments(self, c: Connection, ids: Iterable[int]) -> Changed:
        ids = set(ids)
        if not ids:
            return []
        query = select(jobs.c.id, jobs.c.experiment_id).where(jobs.c.id.in_(ids))
        experiment_ids = {row.id: row.experiment_id for row in c.execute(query)}
        return [(job_id, experiment_ids.get(job_id)) for job_id in ids]

    def _are_workers_changed(self, c: Connection, at: float) -> bool:
        query = select(workers.c.id, workers.c.is_draining, workers.c.heartbeat_at)
        rows = c.execute(query.where(workers.c.ended_at.is_(None)))
        seen = {r.id: (bool(r.is_draining), r.heartbeat_at < at - _SILENT_S) for r in rows}
        before, self._workers = self._workers, seen
        return before != seen
