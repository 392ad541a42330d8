"""Short jobs on slots that are reserved for a job on several GPUs and would idle until it starts.

Both times are estimates: how long the jobs on its other slots still run, from the mean time of
their epochs, and how long the short job runs, from the mean of its experiment's finished jobs. A
short job that takes longer delays the waiting one by the difference.
"""

from __future__ import annotations

import math
from dataclasses import replace

from sqlalchemy import Connection, select, update

from fitfleet.db.attempts.claims import lock
from fitfleet.db.fleet import durations, gangs
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.fleet.dispatch_capacity import DispatchCapacity, on_route, unlimited
from fitfleet.db.fleet.gang_slot_state import is_waiting, kept_rows
from fitfleet.db.scheduling import dispatch
from fitfleet.db.schema.tables import gang_slots, jobs, workers
from fitfleet.db.session import now
from fitfleet.db.specs.requirements import waited_for
from fitfleet.spec.requirements import gpus_of
from fitfleet.states import JobStatus

# Time for a waiting child to import TensorFlow, which it has not done yet.
START_S = 20.0
_MAX_CANDIDATES = 100


def reserve(c: Connection, load: QueueLoad, alive_s: float) -> list[int]:
    """Reserve short jobs for idle slots of waiting jobs, in dispatch order; their ids."""
    gang_jobs = _waiting_gangs(c, load.queue)
    if not gang_jobs:
        return []
    dispatch.lock_dispatch(c)
    lock(c, gang_jobs)  # against the slot that would begin one of them
    job_ids: list[int] = []
    for job_id in gang_jobs:
        slots, left_s = _idle_slots(c, load.queue, job_id)
        if slots and START_S < left_s < math.inf:
            job_ids += _reserve(c, load, slots, left_s - START_S, alive_s)
    return job_ids


def _waiting_gangs(c: Connection, queue: str) -> list[int]:
    query = kept_rows(gang_slots.c.job_id).where(is_waiting(), jobs.c.queue == queue)
    return sorted(set(c.scalars(query)))


def _idle_slots(c: Connection, queue: str, job_id: int) -> tuple[list[str], float]:
    """The slots of a job that are ready, and for how long it waits for the others."""
    rows = c.execute(select(gang_slots).where(gang_slots.c.job_id == job_id)).all()
    left_s = gangs.left_s(c, queue)
    # A backfilled slot is not ready either: its short job counts as any other.
    others = [left_s.get(row.slot, 0.0) for row in rows if not row.is_ready]
    return sorted(row.slot for row in rows if row.is_ready), max(others, default=0.0)


def _reserve(
    c: Connection, load: QueueLoad, slots: list[str], limit_s: float, alive_s: float
) -> list[int]:
    """The first waiting jobs that are short enough, one a slot."""
    waiting_ids = dispatch.order(c, load.queue, _alone(c, load, slots[0]))
    of_job = dict(zip(waiting_ids, durations.experiments_of(c, waiting_ids), strict=False))
    means = durations.mean_seconds(c, load.queue, set(of_job.values()))
    short = [job for job in waiting_ids if means.get(of_job[job], math.inf) <= limit_s]
    pairs = list(zip(short, slots, strict=False))
    for job_id, slot in pairs:
        values = {
            "status": JobStatus.DISPATCHED,
            "dispatch_seq": jobs.c.dispatch_seq + 1,
            "dispatched_at": now(c),
            "owner": slot,
            "lease_until": now(c) + START_S + alive_s,
            "sent_to": None,
        }
        c.execute(update(jobs).where(jobs.c.id == job_id).values(values))
        c.execute(update(gang_slots).where(gang_slots.c.slot == slot).values(is_ready=False))
    return [job_id for job_id, _ in pairs]


def _alone(c: Connection, load: QueueLoad, slot: str) -> DispatchCapacity:
    """Capacity for jobs on one GPU that fit the slot."""
    route = c.execute(select(workers.c.route).where(workers.c.id == slot)).scalar() or ""
    documents = waited_for(c, load.queue)
    waiting = on_route(unlimited(c, load.queue, load, _MAX_CANDIDATES), route)
    routes_of = {
        requirement: routes
        for requirement, routes in waiting.routes_of.items()
        if gpus_of(documents[requirement]) == 1
    }
    return replace(waiting, routes_of=routes_of)
