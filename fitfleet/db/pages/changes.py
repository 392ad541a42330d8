"""What changed since the last poll, for a page that is kept up to date: a few small queries."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from fitfleet.db.schema.tables import events, jobs, workers
from fitfleet.db.session import read_clock
from fitfleet.states import JobStatus

_IN_FLIGHT = (JobStatus.DISPATCHED, JobStatus.RUNNING)
# A transaction that ends later may carry an earlier time; those seen already are known.
_OVERLAP_S = 5.0
_SILENT_S = 15.0
_MANY = 10_000


@dataclass(frozen=True)
class Changes:
    """The experiments and jobs that something happened to; and whether to any worker or count."""

    experiments: frozenset[int] = frozenset()
    jobs: frozenset[int] = frozenset()
    is_fleet_changed: bool = False

    def __bool__(self) -> bool:
        return bool(self.experiments or self.jobs or self.is_fleet_changed)


@dataclass
class Watch:
    """Polls the database, and says what is new since its last poll."""

    _in_flight: dict[int, tuple[int, str, int, int, str | None]] = field(default_factory=dict)
    _finished: dict[int, float] = field(default_factory=dict)
    _workers: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    _last_job: int = 0
    _last_event: int = 0
    _is_first: bool = True

    def poll(self, c: Connection) -> Changes:
        """What happened since the last call; nothing at the first."""
        at = read_clock(c)
        news_of = [self._news_in_flight(c), self._news_ended(c, at), self._news_inserted(c)]
        news_of.append(self._news_events(c))
        is_worker = self._are_workers_changed(c, at)
        is_first, self._is_first = self._is_first, False
        if is_first:
            return Changes()
        job_ids = frozenset(job_id for news in news_of for job_id in news)
        in_experiments = frozenset(e for news in news_of for e in news.values() if e)
        return Changes(in_experiments, job_ids, is_worker or bool(job_ids or in_experiments))

    def _news_in_flight(self, c: Connection) -> dict[int, int]:
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
        return {i: (seen.get(i) or before[i])[0] for i in changed}

    def _news_ended(self, c: Connection, at: float) -> dict[int, int]:
        query = select(jobs.c.id, jobs.c.experiment_id, jobs.c.finished_at).where(
            jobs.c.finished_at > at - _OVERLAP_S
        )
        rows = c.execute(query.limit(_MANY)).all()
        before, self._finished = self._finished, {row.id: row.finished_at for row in rows}
        return {r.id: r.experiment_id for r in rows if before.get(r.id) != r.finished_at}

    def _news_inserted(self, c: Connection) -> dict[int, int]:
        query = select(jobs.c.id, jobs.c.experiment_id).where(jobs.c.id > self._last_job)
        if self._is_first:
            self._last_job = c.execute(select(func.max(jobs.c.id))).scalar() or 0
            return {}
        rows = c.execute(query.order_by(jobs.c.id).limit(_MANY)).all()
        self._last_job = rows[-1].id if rows else self._last_job
        return {row.id: row.experiment_id for row in rows}

    def _news_events(self, c: Connection) -> dict[int, int]:
        """A pause concerns an experiment without a job of it: number 0 stands for all."""
        if self._is_first:
            self._last_event = c.execute(select(func.max(events.c.id))).scalar() or 0
            return {}
        query = (
            select(events.c.id, events.c.job_id, jobs.c.experiment_id)
            .outerjoin(jobs, jobs.c.id == events.c.job_id)
            .where(events.c.id > self._last_event)
            .order_by(events.c.id)
            .limit(_MANY)
        )
        rows = c.execute(query).all()
        self._last_event = rows[-1].id if rows else self._last_event
        return {row.job_id or 0: row.experiment_id or 0 for row in rows}

    def _are_workers_changed(self, c: Connection, at: float) -> bool:
        query = select(workers.c.id, workers.c.is_draining, workers.c.heartbeat_at)
        rows = c.execute(query.where(workers.c.ended_at.is_(None)))
        seen = {r.id: (bool(r.is_draining), r.heartbeat_at < at - _SILENT_S) for r in rows}
        before, self._workers = self._workers, seen
        return before != seen
