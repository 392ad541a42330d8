"""Jobs on several GPUs: slots of one service are reserved for each, from its dispatch to its end.

The dispatcher picks the GPUs that are free first, all in one transaction, and of each service for
one waiting job at a time: so none waits for what another waiting one has. Slots that are kept take
no other jobs (but see db/scheduling/backfill); when the last has ended its own, the first of them
begins. The side of the slots is db/fleet/gang_slot_state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, select, update

from fitfleet.db.attempts.claims import lock
from fitfleet.db.fleet import durations
from fitfleet.db.fleet.gang_slot_state import is_waiting, kept_rows
from fitfleet.db.fleet.live_services import Service, live_services
from fitfleet.db.schema.tables import gang_slots, jobs
from fitfleet.db.session import now
from fitfleet.states import JobStatus


def open_services(c: Connection, queue: str, alive_s: float) -> list[Service]:
    """Services with several GPUs for which no job waits; those with most idle ones first."""
    services = [s for s in live_services(c, queue, alive_s) if len(s.devices) > 1]
    if not services:
        return []
    taken = set(c.scalars(kept_rows(gang_slots.c.slot).where(is_waiting())))
    busy = left_s(c, queue)
    idle = {
        s.name: sum(
            not busy.keys() & set(slots_of_device) for slots_of_device in s.devices.values()
        )
        for s in services
    }
    services = [s for s in services if not taken & set(s.slots)]
    return sorted(services, key=lambda s: (-idle[s.name], s.name))


def keep(c: Connection, service: Service, job_id: int, dispatch_seq: int, count: int) -> int:
    """Keep the slots on `count` GPUs for a job that was dispatched just now; how many slots.

    Of the GPUs those whose jobs end first by what is known, and idle ones before them.
    """
    busy = left_s(c, service.queue)

    def free_in(device: str) -> tuple[float, str]:
        return max(busy.get(slot, 0.0) for slot in service.devices[device]), device

    chosen = sorted(sorted(service.devices, key=free_in)[:count])
    rows = [
        {"job_id": job_id, "slot": slot, "dispatch_seq": dispatch_seq, "device": name}
        for name in chosen
        for slot in service.devices[name]
    ]
    c.execute(gang_slots.delete().where(gang_slots.c.job_id == job_id))
    c.execute(gang_slots.insert(), rows)
    values = {"owner": rows[0]["slot"], "lease_until": now(c) + service.alive_s}
    c.execute(update(jobs).where(jobs.c.id == job_id).values(values))
    return len(rows)


def left_s(c: Connection, queue: str) -> dict[str, float]:
    """Slot -> seconds until the jobs there end, of those that are busy; infinite: not known."""
    busy: dict[str, float] = {}
    for run in durations.running(c, queue):
        left = math.inf if run.left_s is None else run.left_s
        busy[run.owner] = max(busy.get(run.owner, 0.0), left)
    for first, slots in _running_gangs(c).items():
        for slot in slots:
            busy[slot] = max(busy.get(slot, 0.0), busy.get(first, math.inf))
    return busy


def _running_gangs(c: Connection) -> Mapping[str, list[str]]:
    query = kept_rows(jobs.c.owner, gang_slots.c.slot).where(jobs.c.status == JobStatus.RUNNING)
    by_first: dict[str, list[str]] = {}
    for row in c.execute(query):
        by_first.setdefault(row.owner, []).append(row.slot)
    return by_first


def extend_leases(c: Connection, queues: Iterable[str], alive_s: float) -> list[int]:
    """Extend the leases of jobs whose slots are kept, while their services live and do not drain.

    The others go back to the queue, for another service; their ids.
    """
    slots = {s for q in queues for service in live_services(c, q, alive_s) for s in service.slots}
    query = kept_rows(jobs.c.id, jobs.c.owner).where(is_waiting())
    owners = {row.id: row.owner for row in c.execute(query)}
    lock(c, owners)
    held = [job_id for job_id, owner in owners.items() if owner in slots]
    c.execute(
        update(jobs)
        .where(jobs.c.id.in_(held), is_waiting(), jobs.c.owner.in_(slots))
        .values(lease_until=now(c) + alive_s)
    )
    released = sorted(owners.keys() - set(held))
    values = {"status": JobStatus.QUEUED, "owner": None, "lease_until": None}
    condition = jobs.c.id.in_(released) & is_waiting() & jobs.c.owner.not_in(slots)
    c.execute(update(jobs).where(condition).values(values))
    return released


def idle_kept_slots(c: Connection) -> list[tuple[int, str, int]]:
    """(job, route of its service, how many) of reserved slots that are idle and not ready."""
    busy = select(jobs.c.owner).where(jobs.c.status == JobStatus.RUNNING, jobs.c.owner.is_not(None))
    query = (
        kept_rows(jobs.c.id, jobs.c.sent_to, func.count().label("slots"))
        .where(is_waiting(), gang_slots.c.is_ready.is_(False))
        .where(gang_slots.c.slot.not_in(busy))
        .group_by(jobs.c.id, jobs.c.sent_to)
    )
    return [(row.id, row.sent_to or "", row.slots) for row in c.execute(query)]


def waiting_queues(c: Connection) -> list[str]:
    """The queues of jobs that wait for slots which are kept for them."""
    return list(c.scalars(kept_rows(jobs.c.queue).where(is_waiting()).distinct()))
