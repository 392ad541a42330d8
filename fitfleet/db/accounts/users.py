"""Users and their quotas: jobs in flight at once, and GPU-hours in the last 30 days.

Jobs count for who made their experiment. The dispatcher (db/scheduling/dispatch) holds both, and
those of the user's group (db/accounts/groups).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select, update

from fitfleet.db.accounts import access
from fitfleet.db.accounts import groups as group_table
from fitfleet.db.accounts.usage import IN_FLIGHT, Limited
from fitfleet.db.actor import Scope
from fitfleet.db.dialect import upsert
from fitfleet.db.schema.tables import attempts, experiments, jobs, users, workers
from fitfleet.db.session import read_clock
from fitfleet.errors import AccessError

PERIOD_S = 30 * 24 * 3600.0


@dataclass(frozen=True)
class Quota(Limited):
    """What a user may have, and has."""

    user: str
    max_running: int | None
    in_flight: int
    gpu_hours: float | None
    gpu_hours_used: float  # as of the last measurement
    group: str | None = None
    shares: float = 1.0  # of what its group has


def set_quota(c: Connection, user: str, **quota: float | None) -> None:
    """Set `max_running` and `gpu_hours`, those that are given; None: no limit."""
    for name, value in quota.items():
        if value is not None and value < 0:
            raise AccessError(f"{name}: {value:g} is below 0; give 0 or more, or none for no limit")
    detail = ", ".join(f"{name} {'none' if v is None else f'{v:g}'}" for name, v in quota.items())
    access.change(c, "set quota", user, detail, needs=Scope.ADMIN)
    c.execute(upsert(c, users, list(quota)).values(name=user, **quota))


def quotas(c: Connection, user: str | None = None) -> list[Quota]:
    """Of all users that have a quota, a group or shares, by name, or of one."""
    in_flight = (
        select(func.count())
        .join_from(jobs, experiments, experiments.c.id == jobs.c.experiment_id)
        .where(experiments.c.user_name == users.c.name, jobs.c.status.in_(IN_FLIGHT))
        .scalar_subquery()
    )
    query = select(users, in_flight.label("in_flight")).order_by(users.c.name)
    if user is not None:
        query = query.where(users.c.name == user)
    return [
        Quota(
            row.name,
            row.max_running,
            row.in_flight,
            row.gpu_hours,
            row.gpu_seconds / 3600,
            row.group_name,
            1.0 if row.shares is None else row.shares,
        )
        for row in c.execute(query)
    ]


def serves_gpus(queue: Any) -> sa.ColumnElement[bool]:
    """SQL: whether a worker of the queue has a GPU."""
    return (
        select(workers.c.id)
        .where(workers.c.queue == queue, workers.c.ended_at.is_(None))
        .where(workers.c.device.like("gpu%"))
        .exists()
    )


def room(c: Connection, experiment_id: int, queue: str) -> int | None:
    """How many more jobs of the experiment its user's quota lets in flight; None: no limit.

    The least of that and of the quota of the user's group.
    """
    owner = select(experiments.c.user_name).where(experiments.c.id == experiment_id)
    user = c.execute(owner).scalar()
    user_quotas = quotas(c, user) if user is not None else []
    if not user_quotas:
        return None
    (quota,) = user_quotas
    group = None if quota.group is None else group_table.quota_of(c, quota.group)
    has_gpu_time = quota.has_gpu_time and (group is None or group.has_gpu_time)
    if not has_gpu_time and c.execute(select(serves_gpus(queue))).scalar():
        return 0
    rooms = [None if group is None else group.room, quota.room]
    return min((room for room in rooms if room is not None), default=None)


def measure(c: Connection) -> None:
    """Write down the GPU time of each user who, or whose group, has a limit of it.

    A slot counts once however many jobs it trained together: of each attempt the time that no
    earlier one of its slot has covered.
    """
    limited = select(users.c.name).where(
        users.c.gpu_hours.is_not(None) | users.c.name.in_(group_table.limited_users())
    )
    if c.execute(limited.limit(1)).first() is None:
        return
    at = read_clock(c)
    used = {row.user_name: row.seconds for row in c.execute(_gpu_seconds(at, limited))}
    for name in c.scalars(limited).all():
        c.execute(update(users).where(users.c.name == name).values(gpu_seconds=used.get(name, 0.0)))


def _gpu_seconds(at: float, limited: sa.Select[tuple[str]]) -> sa.Select[Any]:
    began = sa.case(
        (attempts.c.started_at < at - PERIOD_S, at - PERIOD_S), else_=attempts.c.started_at
    )
    ended = func.coalesce(attempts.c.ended_at, at)
    rows = (
        select(
            experiments.c.user_name,
            attempts.c.worker,
            attempts.c.job_id,
            began.label("began"),
            ended.label("ended"),
            func.coalesce(attempts.c.gpus, 1).label("gpus"),
        )
        .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .join(workers, workers.c.id == attempts.c.worker)
        .where(
            experiments.c.user_name.in_(limited),
            workers.c.device.like("gpu%"),
            ended > at - PERIOD_S,
        )
        .subquery()
    )
    covered = func.max(rows.c.ended).over(
        partition_by=(rows.c.user_name, rows.c.worker),
        order_by=(rows.c.began, rows.c.job_id),
        rows=(None, -1),
    )
    spans = select(rows, covered.label("covered")).subquery()
    start = sa.case((spans.c.covered > spans.c.began, spans.c.covered), else_=spans.c.began)
    length = sa.case((spans.c.ended > start, spans.c.ended - start), else_=0.0) * spans.c.gpus
    return select(spans.c.user_name, func.sum(length).label("seconds")).group_by(spans.c.user_name)
