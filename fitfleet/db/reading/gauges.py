"""Figures for a monitoring system, counted by the database; right after any restart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from fitfleet.db.accounts import groups, users
from fitfleet.db.accounts.groups import Group
from fitfleet.db.accounts.users import Quota
from fitfleet.db.fleet import capacity, dispatch_capacity
from fitfleet.db.schema.tables import attempts, experiments, jobs, workers
from fitfleet.db.session import now, read_clock
from fitfleet.states import JobStatus


@dataclass(frozen=True)
class Histogram:
    """How many values are at most each bound; `count` are all of them."""

    at_most: Sequence[int]
    count: int
    total: float


@dataclass(frozen=True)
class HostLoad:
    """What the worker services of a host last reported."""

    host: str
    values: dict[str, float]  # cpu_percent, memory_bytes, gpu_percent, gpu_memory_bytes


def jobs_by_status(c: Connection) -> dict[tuple[str, str], int]:
    """(queue, status) -> jobs; every status of each queue that there is."""
    query = select(jobs.c.queue, jobs.c.status, func.count()).group_by(jobs.c.queue, jobs.c.status)
    counts = {(queue, status): int(count) for queue, status, count in c.execute(query)}
    queues = {queue for queue, _ in counts}
    return {(q, s.value): counts.get((q, s.value), 0) for q in sorted(queues) for s in JobStatus}


def waiting_by_reason(c: Connection, alive_s: float) -> dict[tuple[str, str], tuple[int, float]]:
    """(queue, reason) -> (QUEUED jobs, seconds since the oldest was submitted).

    Reasons, the first that holds: no_worker, labels (no slot has what it asks), paused, backoff,
    quota (its user or group has as many in flight as allowed, or no GPU-hours left), slot.
    """
    at = now(c)
    served = select(workers.c.queue).where(*_alive(c, alive_s), workers.c.is_draining.is_(False))
    reason = sa.case(
        (jobs.c.queue.not_in(served), "no_worker"),
        *[
            ((jobs.c.queue == load.queue) & jobs.c.requirement_id.in_(unfit), "labels")
            for load in capacity.loads(c, alive_s)
            if (unfit := dispatch_capacity.unmet_requirements(c, load))
        ],
        (experiments.c.is_paused, "paused"),
        (jobs.c.not_before > at, "backoff"),
        (_is_held_by_quota(c), "quota"),
        else_="slot",
    )
    kinds = (jobs.c.queue, reason.label("reason"))
    query = (
        select(*kinds, func.count(), func.min(jobs.c.submitted_at))
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(jobs.c.status == JobStatus.QUEUED)
        .group_by(jobs.c.queue, sa.text("reason"))
    )
    clock = read_clock(c)
    return {
        (queue, why): (int(count), max(0.0, clock - oldest))
        for queue, why, count, oldest in c.execute(query)
    }


def _is_held_by_quota(c: Connection) -> sa.ColumnElement[bool]:
    """Their names are read first: a subquery for each of a million waiting jobs takes long."""
    quotas = users.quotas(c)
    groups_by_name = (
        {group.name: group for group in groups.listed(c)} if any(q.group for q in quotas) else {}
    )
    limits: list[tuple[str, list[Quota | Group]]] = [
        (q.user, [q, groups_by_name[q.group]] if q.group in groups_by_name else [q]) for q in quotas
    ]
    full = [
        user for user, limits_of_user in limits if any(limit.room == 0 for limit in limits_of_user)
    ]
    without_gpu_time = [
        user
        for user, limits_of_user in limits
        if not all(limit.has_gpu_time for limit in limits_of_user)
    ]
    with_gpus = select(workers.c.queue).where(
        workers.c.ended_at.is_(None), workers.c.device.like("gpu%")
    )
    return experiments.c.user_name.in_(full) | (
        experiments.c.user_name.in_(without_gpu_time) & jobs.c.queue.in_(with_gpus)
    )


def slots_by_state(c: Connection, alive_s: float) -> dict[tuple[str, str], int]:
    """(queue, state) -> slots that have not said that they ended: busy, free, draining, silent."""
    held = select(jobs.c.owner).where(jobs.c.status == JobStatus.RUNNING)
    state = sa.case(
        (workers.c.heartbeat_at <= now(c) - alive_s, "silent"),
        (workers.c.is_draining, "draining"),
        (workers.c.id.in_(held), "busy"),
        else_="free",
    )
    query = (
        select(workers.c.queue, state.label("state"), func.count())
        .where(workers.c.ended_at.is_(None))
        .group_by(workers.c.queue, sa.text("state"))
    )
    counts = {(queue, state): int(count) for queue, state, count in c.execute(query)}
    states = ("busy", "free", "draining", "silent")
    return {(q, s): counts.get((q, s), 0) for q in sorted({q for q, _ in counts}) for s in states}


def attempts_by_outcome(c: Connection) -> dict[str, int]:
    """Outcome -> attempts that ended so; `succeeded`, `released` or a class of failure."""
    query = select(attempts.c.outcome, func.count()).group_by(attempts.c.outcome)
    return {outcome: int(count) for outcome, count in c.execute(query) if outcome is not None}


def wait_seconds(c: Connection, bounds: Sequence[float]) -> Histogram:
    """From a job's submission to its first attempt."""
    waited = jobs.c.started_at - jobs.c.submitted_at
    return _histogram(c, waited, jobs.c.started_at.is_not(None), bounds)


def run_seconds(c: Connection, bounds: Sequence[float]) -> Histogram:
    """Of attempts that have ended."""
    return _histogram(c, attempts.c.seconds, attempts.c.seconds.is_not(None), bounds)


def _histogram(
    c: Connection,
    value: sa.ColumnElement[float],
    condition: sa.ColumnElement[bool],
    bounds: Sequence[float],
) -> Histogram:
    at_most = [func.sum(sa.case((value <= bound, 1), else_=0)) for bound in bounds]
    row = c.execute(select(func.count(), func.sum(value), *at_most).where(condition)).one()
    return Histogram([int(count or 0) for count in row[2:]], int(row[0]), float(row[1] or 0.0))


def host_loads(c: Connection, alive_s: float) -> list[HostLoad]:
    """The hosts of live worker services; their memory is added up, the rest is the host's."""
    query = select(workers.c.host, workers.c.service, workers.c.load).where(*_alive(c, alive_s))
    by_service = {(row.host, row.service): json.loads(row.load or "{}") for row in c.execute(query)}
    by_host: dict[str, dict[str, float]] = {}
    for (host, _), load in sorted(by_service.items()):
        values = by_host.setdefault(host, {})
        for name, value in load.items():
            added = values.get(name, 0.0) if name == "memory_bytes" else 0.0
            values[name] = added + float(value)
    return [HostLoad(host, values) for host, values in by_host.items()]


def _alive(c: Connection, alive_s: float) -> tuple[sa.ColumnElement[Any], ...]:
    return workers.c.ended_at.is_(None), workers.c.heartbeat_at > now(c) - alive_s
