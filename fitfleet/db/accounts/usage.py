"""What users have of the fleet now: the slots that their jobs use, or are about to use; limits."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection, func, select

from fitfleet.db.schema.tables import experiments, gang_slots, jobs
from fitfleet.states import JobStatus

# Whose the jobs are that nobody is named for, and the group of users that have none.
DEFAULT = "default"
IN_FLIGHT = (JobStatus.RUNNING, JobStatus.DISPATCHED)


class Limited:
    """A user or a group, with what its jobs may have together, and what they have."""

    max_running: int | None
    in_flight: int
    gpu_hours: float | None
    gpu_hours_used: float  # as of the last measurement

    @property
    def has_gpu_time(self) -> bool:
        """Whether a job on a GPU may begin."""
        return self.gpu_hours is None or self.gpu_hours_used < self.gpu_hours

    @property
    def room(self) -> int | None:
        """How many more jobs may be in flight; None: no limit."""
        return None if self.max_running is None else max(0, self.max_running - self.in_flight)


def user_of() -> sa.ColumnElement[str]:
    """SQL: the user of an experiment. Without a parameter, so that PostgreSQL can group by it."""
    return func.coalesce(experiments.c.user_name, sa.literal_column(f"'{DEFAULT}'"))


def slots_by_user(c: Connection, queue: str | None = None) -> dict[str, int]:
    """User -> slots, of one queue or of all. A cohort uses one, a message is about to use one.

    A job on several GPUs uses all the slots that are kept for it.
    """
    is_there = sa.true() if queue is None else jobs.c.queue == queue
    condition = jobs.c.status.in_(IN_FLIGHT) & is_there
    joined = jobs.join(experiments, experiments.c.id == jobs.c.experiment_id)
    # A name of a slot is never a number alone.
    slot = func.coalesce(jobs.c.owner, sa.cast(jobs.c.id, sa.String))
    owned = (
        select(user_of().label("user_name"), slot.label("slot"))
        .select_from(joined)
        .where(condition)
    )
    of_gangs = joined.join(gang_slots, gang_slots.c.job_id == jobs.c.id)
    is_kept = (gang_slots.c.dispatch_seq == jobs.c.dispatch_seq) & jobs.c.owner.is_not(None)
    kept = select(user_of(), gang_slots.c.slot).select_from(of_gangs).where(condition, is_kept)
    each = sa.union(owned, kept).subquery()
    query = select(each.c.user_name, func.count()).group_by(each.c.user_name)
    return {name: int(count) for name, count in c.execute(query)}


def jobs_by_user(c: Connection) -> dict[str, int]:
    """User -> jobs in flight, which quotas count."""
    query = (
        select(user_of(), func.count())
        .join_from(jobs, experiments, experiments.c.id == jobs.c.experiment_id)
        .where(jobs.c.status.in_(IN_FLIGHT))
        .group_by(user_of())
    )
    return {name: int(count) for name, count in c.execute(query)}
