"""What the dispatcher writes: which waiting jobs go to the broker, and which come back from it.

Cost does not grow with the backlog: every query walks an index to the rows it returns.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select, update

from fitfleet.db.session import now, read_clock
from fitfleet.db.tables import experiments, jobs, workers
from fitfleet.states import JobStatus

_ANY_VERSION = 2**31 - 1
_DISPATCH_LOCK = 4712  # a number of our own among PostgreSQL's advisory locks


def dispatch(c: Connection, queue: str, limit: int) -> list[tuple[int, int]]:
    """Move up to `limit` jobs of a queue to DISPATCHED; (job id, dispatch_seq) in order.

    By priority, then the experiment with the fewest jobs in flight, then the one served least
    recently, then age; never above an experiment's max_running, never of a paused one. The messages
    are the caller's to publish, after the commit.
    """
    if limit <= 0:
        return []
    lock_dispatch(c)
    chosen = _choose(c, queue, limit)
    if not chosen:
        return []
    statement = (
        update(jobs)
        # They were locked as they were chosen. Asked for their status too, SQLite would go through
        # all that wait.
        .where(jobs.c.id.in_(chosen))
        .values(
            status=JobStatus.DISPATCHED,
            dispatch_seq=jobs.c.dispatch_seq + 1,
            dispatched_at=now(c),
        )
        .returning(jobs.c.id, jobs.c.dispatch_seq)
    )
    won = {row.id: row.dispatch_seq for row in c.execute(statement)}
    return [(job_id, won[job_id]) for job_id in chosen if job_id in won]


def lock_dispatch(c: Connection) -> None:
    """Let one transaction at a time add jobs to those in flight.

    Two that count and then add would together go above an experiment's max_running.
    """
    if c.dialect.name == "postgresql":
        c.execute(select(sa.func.pg_advisory_xact_lock(_DISPATCH_LOCK)))


@dataclass
class _Backlog:
    """The first waiting jobs of one experiment, best first, as (priority, id)."""

    experiment_id: int
    candidates: deque[tuple[int, int]]
    in_flight: int  # dispatched or running
    max_running: int | None
    served: tuple[float, int]  # when it was last served, and its rank in this poll

    @property
    def is_open(self) -> bool:
        """Whether the experiment may have one more job in flight."""
        has_room = self.max_running is None or self.in_flight < self.max_running
        return bool(self.candidates) and has_room

    @property
    def rank(self) -> tuple[int, int, tuple[float, int], int]:
        """Smallest goes first: priority, then fair share, then least recently served, then age."""
        priority, job_id = self.candidates[0]
        return -priority, self.in_flight, self.served, job_id

    def take(self) -> int:
        """The first of them, which is in flight from now."""
        self.in_flight += 1
        return self.candidates.popleft()[1]


def _choose(c: Connection, queue: str, limit: int) -> list[int]:
    backlogs = _backlogs(c, queue, limit, is_locking=True)
    at = read_clock(c)
    chosen = _merge(backlogs, limit, at)
    served = [b.experiment_id for b in backlogs if b.served[1]]
    if served:
        c.execute(update(experiments).where(experiments.c.id.in_(served)).values(served_at=at))
    return chosen


def order(c: Connection, queue: str, limit: int) -> list[int]:
    """The first `limit` jobs that `dispatch` would choose, in its order. Nothing is locked."""
    return _merge(_backlogs(c, queue, limit, is_locking=False), limit, read_clock(c))


def _merge(backlogs: Sequence[_Backlog], limit: int, at: float) -> list[int]:
    chosen: list[int] = []
    # Only the backlog that a job is taken from changes its rank.
    ranked = [(*backlog.rank, i) for i, backlog in enumerate(backlogs) if backlog.is_open]
    heapq.heapify(ranked)
    while ranked and len(chosen) < limit:
        i = ranked[0][-1]
        chosen.append(backlogs[i].take())
        backlogs[i].served = (at, len(chosen))
        if backlogs[i].is_open:
            heapq.heapreplace(ranked, (*backlogs[i].rank, i))
        else:
            heapq.heappop(ranked)
    return chosen


def _backlogs(c: Connection, queue: str, limit: int, *, is_locking: bool) -> list[_Backlog]:
    """Of the experiments that may be chosen from now, so many that no other can come before them.

    A choice makes an experiment's rank worse and leaves those of the others, so `limit` choices
    never reach beyond the `limit` best experiments.
    """
    backlogs = []
    for row in c.execute(_best_experiments(c, queue, limit)).all():
        query = (
            select(jobs.c.priority, jobs.c.id)
            .where(_waits(c, queue), jobs.c.experiment_id == row.id)
            .order_by(jobs.c.priority.desc(), jobs.c.id)
            .limit(limit)
        )
        if is_locking and c.dialect.name == "postgresql":
            query = query.with_for_update(skip_locked=True)
        candidates = deque((job.priority, job.id) for job in c.execute(query))
        backlogs.append(
            _Backlog(row.id, candidates, row.in_flight, row.max_running, (row.served_at, 0))
        )
    return backlogs


def _waits(c: Connection, queue: str) -> sa.ColumnElement[bool]:
    is_waiting = (jobs.c.status == JobStatus.QUEUED) & (jobs.c.queue == queue)
    # What no worker there can read waits for one that can. Without workers nothing is known.
    newest = select(sa.func.max(workers.c.version)).where(
        workers.c.ended_at.is_(None), workers.c.queue == queue
    )
    is_readable = jobs.c.min_version <= sa.func.coalesce(newest.scalar_subquery(), _ANY_VERSION)
    return is_waiting & (jobs.c.not_before <= now(c)) & is_readable


def _best_experiments(c: Connection, queue: str, limit: int) -> sa.Select[Any]:
    """The `limit` experiments of the best rank, in one statement: a few steps in an index for each.

    Columns id, in_flight, max_running, served_at.
    """
    in_flight = (
        select(jobs.c.experiment_id, sa.func.count().label("count"))
        .where(jobs.c.status.in_((JobStatus.RUNNING, JobStatus.DISPATCHED)))
        .group_by(jobs.c.experiment_id)
        .cte("in_flight")
    )
    count = sa.func.coalesce(in_flight.c.count, 0)
    first = (
        select(jobs.c.priority)
        .where(_waits(c, queue), jobs.c.experiment_id == experiments.c.id)
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(1)
        .scalar_subquery()
    )
    ids = _waiting_experiments((jobs.c.status == JobStatus.QUEUED) & (jobs.c.queue == queue))
    ranked = (
        select(
            experiments.c.id,
            experiments.c.max_running,
            experiments.c.served_at,
            count.label("in_flight"),
            first.label("priority"),
        )
        .join_from(
            experiments, in_flight, in_flight.c.experiment_id == experiments.c.id, isouter=True
        )
        .where(
            experiments.c.id.in_(ids),
            experiments.c.is_paused.is_(False),
            experiments.c.max_running.is_(None) | (count < experiments.c.max_running),
        )
        .cte("ranked")
    )
    return (
        select(ranked.c.id, ranked.c.in_flight, ranked.c.max_running, ranked.c.served_at)
        .where(ranked.c.priority.is_not(None))
        .order_by(ranked.c.priority.desc(), ranked.c.in_flight, ranked.c.served_at, ranked.c.id)
        .limit(limit)
    )


def _waiting_experiments(waiting: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
    """The experiments that have waiting jobs: one step in the index for each of them.

    SELECT DISTINCT would read every waiting job.
    """
    lowest = sa.func.min(jobs.c.experiment_id)
    walk = select(lowest.label("id")).where(waiting).cte("walk", recursive=True)
    following = select(lowest).where(waiting, jobs.c.experiment_id > walk.c.id).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.id.is_not(None)))
    return select(walk.c.id).where(walk.c.id.is_not(None))


def redispatch(c: Connection, queue: str, older_s: float) -> list[int]:
    """Give jobs whose messages were lost back to the queue; an old message then claims nothing.

    The caller knows that the broker holds no message for them (docs/decisions/0001).
    """
    statement = (
        update(jobs)
        .where(
            jobs.c.status == JobStatus.DISPATCHED,
            jobs.c.owner.is_(None),
            jobs.c.queue == queue,
            jobs.c.dispatched_at < now(c) - older_s,
        )
        .values(status=JobStatus.QUEUED)
        .returning(jobs.c.id)
    )
    return list(c.scalars(statement))


def dispatched_queues(c: Connection) -> list[str]:
    """Queues of jobs whose messages should be in the broker."""
    is_sent = (jobs.c.status == JobStatus.DISPATCHED) & jobs.c.owner.is_(None)
    query = select(jobs.c.queue).where(is_sent).distinct()
    return list(c.scalars(query))


def count_cohort(c: Connection, fuse_key: str, limit: int) -> int:
    """Jobs that may be trained in one program and wait or run; counted up to `limit`."""
    of_key = (
        select(jobs.c.id)
        .where(
            jobs.c.fuse_key == fuse_key,
            jobs.c.status.in_((JobStatus.QUEUED, JobStatus.DISPATCHED, JobStatus.RUNNING)),
        )
        .limit(limit)
        .subquery()
    )
    return int(c.execute(select(sa.func.count()).select_from(of_key)).scalar_one())
