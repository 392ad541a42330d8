"""The memory of devices whose use is watched: what it is, and what the jobs that run there need.

A slot of such a device has `device_bytes`. Of what runs there each job has `needs_bytes`; one
without it has the device to itself, so that it is measured.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from fitfleet.db.schema.tables import jobs, memory_waits, workers
from fitfleet.db.session import now
from fitfleet.states import JobStatus

# After this wait for the memory of a device, a job is not overtaken there any more.
PATIENCE_S = 30.0
_LOCKS = 4713  # of our own among PostgreSQL's advisory locks, with a number for each device
_IN_FLIGHT = (JobStatus.RUNNING, JobStatus.DISPATCHED)


@dataclass(frozen=True)
class Device:
    """A device as the slots see it that share it, less one of them."""

    host: str
    name: str
    slots: frozenset[str]  # all that are on it
    size_bytes: int  # what fits may use of it
    used_bytes: int  # what the others need
    is_shared: bool  # one of the others runs
    is_taken: bool  # one of the others has it to itself

    @property
    def free_bytes(self) -> int:
        """What a job may need that starts there now; the whole device if nothing runs."""
        if not self.is_shared:
            return self.size_bytes
        return 0 if self.is_taken else max(0, self.size_bytes - self.used_bytes)


def device_of(c: Connection, slot: str) -> Device | None:
    """The device of a slot, for this transaction alone; None: it is not watched."""
    row = c.execute(select(workers).where(workers.c.id == slot)).first()
    if row is None or row.device_bytes is None:
        return None
    query = (
        select(workers.c.id)
        .where(workers.c.host == row.host, workers.c.device == row.device)
        .where(workers.c.ended_at.is_(None))
    )
    if c.dialect.name == "postgresql":
        name = f"{row.host}/{row.device}".encode()
        c.execute(select(func.pg_advisory_xact_lock(_LOCKS, zlib.crc32(name) - 2**31)))
    slots = frozenset(c.scalars(query))
    needs = _needs(c, slots - {slot})
    return _device(row.host, row.device, slots, row.device_bytes, needs)


def _device(
    host: str, name: str, slots: frozenset[str], size_bytes: int, needs: dict[str, int | None]
) -> Device:
    known = [need for need in needs.values() if need is not None]
    return Device(host, name, slots, size_bytes, sum(known), bool(needs), len(known) < len(needs))


def _needs(c: Connection, slots: Collection[str]) -> dict[str, int | None]:
    """Slot -> what its jobs need, of those that run some; None: the device to itself."""
    query = (
        select(
            jobs.c.owner,
            func.max(jobs.c.needs_bytes).label("need"),
            func.count(jobs.c.needs_bytes).label("known"),
        )
        .where(jobs.c.status.in_(_IN_FLIGHT), jobs.c.owner.in_(slots))
        .group_by(jobs.c.owner)
    )
    return {row.owner: int(row.need) if row.known else None for row in c.execute(query)}


def free_by_route(c: Connection, queue: str) -> dict[str, int]:
    """Route -> the most free bytes on a device of its live slots; measured devices only."""
    live = select(workers).where(
        workers.c.queue == queue, workers.c.ended_at.is_(None), workers.c.device_bytes.is_not(None)
    )
    rows = c.execute(live).all()
    needs = _needs(c, [row.id for row in rows])
    free: dict[str, int] = {}
    devices: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        devices.setdefault((row.host, row.device), []).append(row.id)
    for row in rows:
        ids = frozenset(devices[row.host, row.device])
        busy = {slot: need for slot, need in needs.items() if slot in ids}
        device = _device(row.host, row.device, ids, row.device_bytes, busy)
        free[row.route] = max(free.get(row.route, 0), device.free_bytes)
    return free


def largest_bytes(c: Connection, queue: str, alive_s: float) -> int:
    """Bytes of the largest device of a live slot of the queue; 0: none is measured."""
    query = select(func.max(workers.c.device_bytes)).where(
        workers.c.queue == queue,
        workers.c.ended_at.is_(None),
        workers.c.heartbeat_at > now(c) - alive_s,
    )
    return int(c.execute(query).scalar() or 0)


def waits_long(c: Connection, device: Device, job_id: int, priority: int) -> int | None:
    """The job that a device is kept for, which none of no higher priority may overtake any more."""
    query = (
        select(memory_waits.c.job_id)
        .join(jobs, jobs.c.id == memory_waits.c.job_id)
        .where(
            memory_waits.c.host == device.host,
            memory_waits.c.device == device.name,
            memory_waits.c.since < now(c) - PATIENCE_S,
            jobs.c.status == JobStatus.QUEUED,
            jobs.c.priority >= priority,
        )
        .order_by(jobs.c.priority.desc(), memory_waits.c.since, jobs.c.id)
        .limit(1)
    )
    first = c.execute(query).scalar()
    return None if first is None or first == job_id else int(first)


def forget_waits(c: Connection, job_ids: Iterable[int]) -> None:
    """These have started, or have ended."""
    c.execute(memory_waits.delete().where(memory_waits.c.job_id.in_(list(job_ids))))
