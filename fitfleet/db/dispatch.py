"""What the dispatcher writes: which waiting jobs go to the broker, and which come back from it.

Cost does not grow with the backlog: every query walks an index to the rows it returns.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Double, select, update

from fitfleet.db.session import now
from fitfleet.db.tables import experiments, jobs, workers
from fitfleet.states import JobStatus

_DISPATCH_LOCK = 4712  # a number of our own among PostgreSQL's advisory locks


@dataclass(frozen=True)
class QueueLoad:
    """A queue as the dispatcher sees it."""

    queue: str
    slots: int  # of live workers that are not draining
    running: int
    dispatched: int

    @property
    def free(self) -> int:
        """Slots with nothing to do."""
        return max(0, self.slots - self.running)


def loads(c: Connection, alive_s: float, *, only_waiting: bool = False) -> list[QueueLoad]:
    """Every queue that has a live worker, one seen within `alive_s` seconds.

    With `only_waiting` those that have QUEUED jobs: the one statement of an idle scheduler.
    """
    at = str(now(c))
    return [
        QueueLoad(*row) for row in c.execute(_loads_query(at, only_waiting), {"alive_s": alive_s})
    ]


@functools.cache
def _loads_query(at: str, only_waiting: bool) -> sa.Select[Any]:
    """Kept, since putting it together costs more than asking it."""
    slots = (
        select(workers.c.queue, sa.func.count().label("slots"))
        .where(
            workers.c.ended_at.is_(None),
            workers.c.is_draining.is_(False),
            workers.c.heartbeat_at > sa.literal_column(at) - sa.bindparam("alive_s", type_=Double),
        )
        .group_by(workers.c.queue)
        .cte("slots")
    )
    status = jobs.c.status
    # A cohort fills one slot however many jobs it holds: count owners, not jobs.
    owner = sa.case((status == JobStatus.RUNNING, jobs.c.owner))
    busy = (
        select(
            jobs.c.queue,
            sa.func.count(sa.distinct(owner)).label("running"),
            sa.func.count(sa.case((status == JobStatus.DISPATCHED, 1))).label("dispatched"),
        )
        .where(status.in_((JobStatus.RUNNING, JobStatus.DISPATCHED)))
        .group_by(jobs.c.queue)
        .cte("busy")
    )
    query = select(
        slots.c.queue,
        slots.c.slots,
        sa.func.coalesce(busy.c.running, 0).label("running"),
        sa.func.coalesce(busy.c.dispatched, 0).label("dispatched"),
    ).join_from(slots, busy, busy.c.queue == slots.c.queue, isouter=True)
    if not only_waiting:
        return query
    waiting = select(jobs.c.id).where(status == JobStatus.QUEUED, jobs.c.queue == slots.c.queue)
    return query.where(waiting.exists())


def dispatch(c: Connection, queue: str, limit: int) -> list[tuple[int, int]]:
    """Move up to `limit` jobs of a queue to DISPATCHED; (job id, dispatch_seq) in order.

    By priority, then the experiment with the fewest jobs under way, then age; never above an
    experiment's max_running, never of a paused one. The messages are the caller's to publish,
    after the commit.
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
    """Let one transaction at a time add jobs to those under way.

    Two that count and then add would together go above an experiment's max_running.
    """
    if c.dialect.name == "postgresql":
        c.execute(select(sa.func.pg_advisory_xact_lock(_DISPATCH_LOCK)))


@dataclass
class _Line:
    """The waiting jobs of one experiment, best first, as (priority, id)."""

    heads: list[tuple[int, int]]
    under_way: int
    most: int | None

    @property
    def is_open(self) -> bool:
        return bool(self.heads) and (self.most is None or self.under_way < self.most)


def _choose(c: Connection, queue: str, limit: int) -> list[int]:
    lines = _lines(c, queue, limit)
    chosen: list[int] = []
    while len(chosen) < limit:
        open_lines = [line for line in lines if line.is_open]
        if not open_lines:
            break
        line = min(open_lines, key=lambda one: (-one.heads[0][0], one.under_way, one.heads[0][1]))
        chosen.append(line.heads.pop(0)[1])
        line.under_way += 1
    return chosen


def _lines(c: Connection, queue: str, limit: int) -> list[_Line]:
    waiting = (jobs.c.status == JobStatus.QUEUED) & (jobs.c.queue == queue)
    under_way = (
        select(jobs.c.experiment_id, sa.func.count())
        .where(jobs.c.status.in_((JobStatus.RUNNING, JobStatus.DISPATCHED)))
        .group_by(jobs.c.experiment_id)
    )
    busy: dict[int, int] = {experiment: count for experiment, count in c.execute(under_way)}
    ids = list(c.scalars(_waiting_experiments(waiting)))
    open_experiments = select(experiments.c.id, experiments.c.max_running).where(
        experiments.c.is_paused.is_(False), experiments.c.id.in_(ids)
    )
    lines = []
    for row in c.execute(open_experiments).all():
        query = (
            select(jobs.c.priority, jobs.c.id)
            .where(waiting, jobs.c.experiment_id == row.id, jobs.c.not_before <= now(c))
            .order_by(jobs.c.priority.desc(), jobs.c.id)
            .limit(limit)
        )
        if c.dialect.name == "postgresql":
            query = query.with_for_update(skip_locked=True)
        heads = [(head.priority, head.id) for head in c.execute(query)]
        lines.append(_Line(heads, busy.get(row.id, 0), row.max_running))
    return lines


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
            jobs.c.queue == queue,
            jobs.c.dispatched_at < now(c) - older_s,
        )
        .values(status=JobStatus.QUEUED)
        .returning(jobs.c.id)
    )
    return list(c.scalars(statement))


def dispatched_queues(c: Connection) -> list[str]:
    """Queues with DISPATCHED jobs."""
    query = select(jobs.c.queue).where(jobs.c.status == JobStatus.DISPATCHED).distinct()
    return list(c.scalars(query))


def count_mates(c: Connection, fuse_key: str, most: int) -> int:
    """Jobs that may be trained in one program and wait or run; counted up to `most`."""
    of_key = (
        select(jobs.c.id)
        .where(
            jobs.c.fuse_key == fuse_key,
            jobs.c.status.in_((JobStatus.QUEUED, JobStatus.DISPATCHED, JobStatus.RUNNING)),
        )
        .limit(most)
        .subquery()
    )
    return int(c.execute(select(sa.func.count()).select_from(of_key)).scalar_one())
