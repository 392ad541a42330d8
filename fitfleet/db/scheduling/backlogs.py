"""The waiting jobs of a queue that may be chosen now, experiment by experiment.

Cost does not grow with the backlog: every query walks an index to the rows it returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, select

from fitfleet.db.accounts.users import serves_gpus
from fitfleet.db.fleet.dispatch_capacity import Ageing, DispatchCapacity
from fitfleet.db.scheduling.candidate_order import Backlog, ExperimentLoad, Room
from fitfleet.db.schema.tables import experiments, jobs, users, workers
from fitfleet.db.session import now
from fitfleet.states import JobStatus

_ANY_VERSION = 2**31 - 1


def read(
    c: Connection,
    queue: str,
    capacity: DispatchCapacity,
    *,
    is_locking: bool,
    is_of_users: bool = False,
) -> list[Backlog]:
    """Backlogs of the best experiments, enough that no other can come before them.

    A choice makes an experiment's rank worse and leaves those of the others, so `total` choices
    never reach beyond as many of the best experiments; nor, of a user who may have n more jobs in
    flight, beyond that user's n best. With `is_of_users` as many of each user, who takes turns
    with the others.
    """
    limit, requirements = capacity.total, capacity.open_requirements()
    if not requirements:
        return []
    backlogs = []
    loads: dict[int, ExperimentLoad] = {}
    rooms: dict[str | None, Room] = {}
    ranking = _best_experiments(
        c, queue, limit, requirements, capacity.ageing, is_of_users=is_of_users
    )
    for row in c.execute(ranking).all():
        room = rooms.setdefault(row.user_name, Room(row.room))
        served = (row.served_at, 0)
        load = ExperimentLoad(row.id, row.in_flight, row.max_running, served, row.user_name, [room])
        load = loads.setdefault(row.id, load)
        first = (row.priority, row.job_id)
        jobs_of = partial(_read_jobs, c, queue, row, limit, capacity.ageing, is_locking=is_locking)
        backlogs.append(
            Backlog(load, row.requirement, first, jobs_of, capacity.needs.get(row.requirement, 0))
        )
    return backlogs


def _read_jobs(
    c: Connection, queue: str, row: Any, limit: int, ageing: Ageing, *, is_locking: bool
) -> deque[tuple[int, int]]:
    """The first jobs of an experiment with one requirement."""
    query = (
        select(_aged(c, ageing).label("priority"), jobs.c.id)
        .where(
            _waits(c, queue),
            jobs.c.experiment_id == row.id,
            jobs.c.requirement_id == row.requirement,
        )
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(limit)
    )
    if is_locking and c.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    return deque((job.priority, job.id) for job in c.execute(query))


def _waits(c: Connection, queue: str) -> sa.ColumnElement[bool]:
    is_waiting = (jobs.c.status == JobStatus.QUEUED) & (jobs.c.queue == queue)
    # What no worker there can read waits for one that can. Without workers nothing is known.
    newest = select(sa.func.max(workers.c.version)).where(
        workers.c.ended_at.is_(None), workers.c.queue == queue
    )
    is_readable = jobs.c.min_version <= sa.func.coalesce(newest.scalar_subquery(), _ANY_VERSION)
    return is_waiting & (jobs.c.not_before <= now(c)) & is_readable


def _aged(c: Connection, ageing: Ageing) -> sa.ColumnElement[int]:
    """SQL: a job's priority and what it has gained by waiting."""
    if not ageing.step_s or not ageing.most:
        return jobs.c.priority
    steps = (now(c) - jobs.c.submitted_at) / ageing.step_s
    # PostgreSQL would round it, and SQLite may have no floor().
    whole = sa.func.floor(steps) if c.dialect.name == "postgresql" else steps
    gained = sa.cast(whole, sa.BigInteger)
    bounded = sa.case((gained > ageing.most, ageing.most), (gained < 0, 0), else_=gained)
    return sa.cast(jobs.c.priority, sa.BigInteger) + bounded


def _best_experiments(
    c: Connection,
    queue: str,
    limit: int,
    requirements: Sequence[int],
    ageing: Ageing,
    *,
    is_of_users: bool,
) -> sa.Select[Any]:
    """The `limit` experiments of the best rank, in one statement: a few steps in an index for each.

    With `is_of_users`, `limit` of each user.

    A row for each requirement of their jobs: id, requirement, in_flight, max_running, served_at,
    user_name, and room: how many more jobs the user may have in flight, NULL without a limit.
    """
    in_flight = (
        select(jobs.c.experiment_id, sa.func.count().label("count"))
        .where(jobs.c.status.in_((JobStatus.RUNNING, JobStatus.DISPATCHED)))
        .group_by(jobs.c.experiment_id)
        .cte("in_flight")
    )
    count = sa.func.coalesce(in_flight.c.count, 0)
    required = _as_table(requirements)
    first = _first(_waits(c, queue), required.c.requirement)
    ids = _waiting_experiments((jobs.c.status == JobStatus.QUEUED) & (jobs.c.queue == queue))
    room, user_load = _rooms(in_flight)
    share = (experiments.c.id, experiments.c.max_running, experiments.c.served_at)
    user = (experiments.c.user_name, room.label("room"))
    waiting = (
        select(
            *share, *user, required.c.requirement, count.label("in_flight"), first.label("job_id")
        )
        .join_from(
            experiments, in_flight, in_flight.c.experiment_id == experiments.c.id, isouter=True
        )
        .join(required, sa.true())
        .join(users, users.c.name == experiments.c.user_name, isouter=True)
        .join(user_load, user_load.c.user_name == experiments.c.user_name, isouter=True)
        .where(
            experiments.c.id.in_(ids),
            experiments.c.is_paused.is_(False),
            experiments.c.max_running.is_(None) | (count < experiments.c.max_running),
            _has_gpu_time(queue),
        )
        .cte("open")
    )
    aged = _aged(c, ageing)
    firsts = select(waiting, aged.label("priority")).join(jobs, jobs.c.id == waiting.c.job_id)
    rank = (aged.desc(), waiting.c.in_flight, waiting.c.served_at, waiting.c.job_id)
    # An experiment ranks by the best of its rows.
    place = sa.func.row_number().over(partition_by=waiting.c.id, order_by=rank)
    ranked = firsts.add_columns(place.label("place")).cte("ranked")
    return _within_rooms(ranked, limit, is_of_users=is_of_users)


def _within_rooms(ranked: sa.CTE, limit: int, *, is_of_users: bool) -> sa.Select[Any]:
    """The best experiments, of each user at most as many as the quota leaves, with all rows."""

    def rank(rows: Any) -> tuple[Any, ...]:
        return (rows.priority.desc(), rows.in_flight, rows.served_at, rows.job_id)

    of_user = sa.func.row_number().over(partition_by=ranked.c.user_name, order_by=rank(ranked.c))
    firsts = select(ranked, of_user.label("of_user")).where(ranked.c.place == 1).cte("firsts")
    in_room = firsts.c.room.is_(None) | (firsts.c.of_user <= firsts.c.room)
    best = select(firsts.c.id).where(in_room)
    if is_of_users:
        best = best.where(firsts.c.of_user <= limit)
    else:
        best = best.order_by(*rank(firsts.c)).limit(limit)
    return select(ranked).where(ranked.c.id.in_(best))


def _rooms(in_flight: sa.CTE) -> tuple[sa.ColumnElement[int], sa.CTE]:
    """SQL: what a user's max_running leaves, and the jobs in flight of each user."""
    load = (
        select(experiments.c.user_name, sa.func.sum(in_flight.c.count).label("count"))
        .join_from(in_flight, experiments, experiments.c.id == in_flight.c.experiment_id)
        .group_by(experiments.c.user_name)
        .cte("user_load")
    )
    return users.c.max_running - sa.func.coalesce(load.c.count, 0), load


def _has_gpu_time(queue: str) -> sa.ColumnElement[bool]:
    """SQL: the user has GPU-hours left, or the queue has no GPU."""
    is_left = users.c.gpu_hours.is_(None) | (users.c.gpu_seconds < users.c.gpu_hours * 3600)
    return is_left | ~serves_gpus(queue)


def _first(
    waiting: sa.ColumnElement[bool], requirement: sa.ColumnElement[int]
) -> sa.ScalarSelect[int]:
    """The first waiting job of the enclosing row's experiment and requirement."""
    return (
        select(jobs.c.id)
        .where(
            waiting, jobs.c.experiment_id == experiments.c.id, jobs.c.requirement_id == requirement
        )
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(1)
        .scalar_subquery()
    )


def _as_table(requirements: Sequence[int]) -> sa.CTE:
    each = [
        select(sa.literal(requirement, sa.BigInteger).label("requirement"))
        for requirement in requirements
    ]
    return (sa.union_all(*each) if len(each) > 1 else each[0]).cte("required")


def _waiting_experiments(waiting: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
    """The experiments that have waiting jobs: one step in the index for each of them.

    SELECT DISTINCT would read every waiting job.
    """
    lowest = sa.func.min(jobs.c.experiment_id)
    walk = select(lowest.label("id")).where(waiting).cte("walk", recursive=True)
    following = select(lowest).where(waiting, jobs.c.experiment_id > walk.c.id).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.id.is_not(None)))
    return select(walk.c.id).where(walk.c.id.is_not(None))
