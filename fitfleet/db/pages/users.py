"""Who has what of the fleet: users and groups with their shares, use and quotas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from fitfleet.db.accounts import groups, usage, users
from fitfleet.db.accounts.usage import DEFAULT
from fitfleet.db.schema.tables import experiments, jobs
from fitfleet.states import JobStatus


@dataclass(frozen=True)
class Holder:
    """A user or a group. A None is: no limit."""

    name: str
    shares: float
    slots: int  # in use, of all queues
    in_flight: int  # jobs that are on their way to a worker, or run
    waiting: int
    max_running: int | None
    gpu_hours: float | None  # in 30 days
    gpu_hours_used: float  # as of the last measurement; 0 where nothing limits them
    group: str = ""  # of a user
    users: int = 0  # of a group


def group_holders(c: Connection) -> list[Holder]:
    """All groups by name, `default` last; none while there is no group at all."""
    listed = groups.listed(c)
    group_of = {quota.user: quota.group or DEFAULT for quota in users.quotas(c)} if listed else {}
    waiting: dict[str, int] = defaultdict(int)
    for user, count in _waiting(c).items() if listed else ():
        waiting[group_of.get(user, DEFAULT)] += count
    return [
        Holder(
            group.name,
            group.shares,
            group.slots,
            group.in_flight,
            waiting[group.name],
            group.max_running,
            group.gpu_hours,
            group.gpu_hours_used,
            users=group.users,
        )
        for group in listed
    ]


def user_holders(c: Connection) -> list[Holder]:
    """By name: who has a quota, a group or shares, and whose jobs are not all at their end."""
    quotas = {quota.user: quota for quota in users.quotas(c)}
    slots, in_flight, waiting = usage.slots_by_user(c), usage.jobs_by_user(c), _waiting(c)

    def holder(name: str) -> Holder:
        quota = quotas.get(name) or users.Quota(name, None, 0, None, 0.0)
        return Holder(
            name,
            quota.shares,
            slots.get(name, 0),
            in_flight.get(name, 0),
            waiting.get(name, 0),
            quota.max_running,
            quota.gpu_hours,
            quota.gpu_hours_used,
            group=quota.group or DEFAULT,
        )

    return [holder(name) for name in sorted({*quotas, *slots, *in_flight, *waiting})]


def _waiting(c: Connection) -> Mapping[str, int]:
    """User -> jobs that no worker has yet."""
    query = (
        select(usage.user_of(), func.count())
        .join_from(jobs, experiments, experiments.c.id == jobs.c.experiment_id)
        .where(jobs.c.status == JobStatus.QUEUED)
        .group_by(usage.user_of())
    )
    return {name: int(count) for name, count in c.execute(query)}
