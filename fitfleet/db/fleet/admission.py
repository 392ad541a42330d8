"""Whether a device has the memory that a job needs, checked by the slot that has its message.

A stated need (`memory=`, `gpu_memory=`) is taken as it is; others are predicted from measurements
(spec.memory). A job whose need is unknown runs alone, and so does a job that ran out of
memory. One that does not fit goes back to the queue with its need among its requirements, which
the dispatcher compares with what is free; the jobs of its program with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select, update

from fitfleet.db.attempts import memory
from fitfleet.db.attempts.claims import Claim
from fitfleet.db.attempts.memory import Measurement
from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.fleet import device_memory
from fitfleet.db.fleet.device_memory import Device
from fitfleet.db.schema.tables import jobs, memory_waits, requirements
from fitfleet.db.session import now
from fitfleet.db.specs import specs
from fitfleet.db.specs.requirements import document_of, requirement_ids
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.spec.memory import (
    MemoryPoint,
    Need,
    can_shrink,
    fit_kind,
    micro_batch,
    predict,
    size_class,
)
from fitfleet.spec.requirements import memory_label, with_measured
from fitfleet.states import JobStatus

_RETRY_S = 0.5
_SIBLINGS = 1_000


@dataclass(frozen=True)
class _Candidate:
    """A dispatched job, with what decides whether it starts on the slot of its message."""

    row: Any  # of jobs, with spec, options and the document of its requirement
    label: str  # memory or gpu_memory, of the slot's device
    memory_step: int  # its OOM fallback level; above 0 it runs alone
    need: Need | None  # at that level; None: not known

    @property
    def needs_bytes(self) -> int | None:
        """What is set apart for it; None: the whole device."""
        return None if self.memory_step or self.need is None else self.need.size_bytes

    def is_too_large(self, size_bytes: int) -> bool:
        """Whether it is known to need more than that, with nothing beside it."""
        return self.need is not None and self.need.least_bytes > size_bytes


def admits(
    c: Connection, message: tuple[int, int], slot: str, free_bytes: int | None, alive_s: float
) -> bool:
    """Whether the job of a message `(job_id, dispatch_seq)` may start on the device of a slot.

    If not, it is back in the queue. `free_bytes` is what the driver says is free, None: nothing.
    A slot whose device is not watched takes everything.
    """
    device = device_memory.device_of(c, slot)
    if device is None:
        return True
    job = _candidate(c, message, memory_label(device.name))
    if job is None:
        return True  # the claim finds out what became of it
    if job.is_too_large(device.size_bytes):
        largest = device_memory.largest_bytes(c, job.row.queue, alive_s)
        smaller = _in_smaller_batches(c, job, device) if job.is_too_large(largest) else None
        if smaller is None:
            assert job.need is not None
            _requeue_with_need(c, job, job.need.least_bytes)
            return False
        job = smaller
    if not _fits(job, device, free_bytes) or _is_kept(c, device, job):
        _requeue_until_free(c, job, device)
        return False
    values = {"needs_bytes": job.needs_bytes, "memory_step": job.memory_step}
    c.execute(_update_dispatched(job).values(values))
    device_memory.forget_waits(c, [job.row.id])
    return True


def _fits(job: _Candidate, device: Device, free_bytes: int | None) -> bool:
    need = job.needs_bytes
    if need is None:
        return not device.is_shared
    if need > device.free_bytes and device.is_shared:
        return False
    return free_bytes is None or min(need, device.size_bytes) <= free_bytes


def _is_kept(c: Connection, device: Device, job: _Candidate) -> bool:
    return device_memory.waits_long(c, device, job.row.id, job.row.priority) is not None


_ROW = specs.join(select(jobs, *specs.COLUMNS, requirements.c.document)).outerjoin(
    requirements, requirements.c.id == jobs.c.requirement_id
)


def _candidate(c: Connection, message: tuple[int, int], label: str) -> _Candidate | None:
    is_sent = (jobs.c.dispatch_seq == message[1]) & (jobs.c.status == JobStatus.DISPATCHED)
    row = c.execute(_ROW.where(jobs.c.id == message[0], is_sent)).first()
    if row is None:
        return None
    return _Candidate(row, label, row.memory_step, _need(c, row, label, row.memory_step))


def _in_smaller_batches(c: Connection, job: _Candidate, device: Device) -> _Candidate | None:
    """The job at the first fallback level that is not known to be too large, if it may shrink."""
    document = _spec_of(job.row)
    step = max(1, job.memory_step)
    while document is not None and can_shrink(*document, step):
        step += 1
        smaller = replace(job, memory_step=step, need=_need(c, job.row, job.label, step))
        if not smaller.is_too_large(device.size_bytes):
            return smaller
    return None


def _need(c: Connection, row: Any, label: str, memory_step: int) -> Need | None:
    stated = json.loads(row.document or "{}").get(label)
    if stated:
        return Need(stated, stated, is_measured=False)
    document = _spec_of(row)
    if document is None:
        return None
    batch_size, _ = micro_batch(*document, memory_step)
    kind = fit_kind(document[0], row.fingerprint, batch_size)
    return memory.predicted(c, kind, is_gpu=label == "gpu_memory")


def _spec_of(row: Any) -> tuple[JobSpec, JobOptions] | None:
    return _parsed(specs.spec_of(row), specs.options_of(row))


def _parsed(spec: str, options: str) -> tuple[JobSpec, JobOptions] | None:
    """None if this version cannot read it: its own guard says so, once it is claimed."""
    try:
        return JobSpec.from_canonical(spec), JobOptions.model_validate_json(options)
    except ValueError:
        return None


def needed_bytes(c: Connection, job_id: int, label: str) -> int | None:
    """What is set apart for a job when it starts; None: not known."""
    row = c.execute(_ROW.where(jobs.c.id == job_id)).one()
    need = _need(c, row, label, row.memory_step)
    return None if need is None else need.size_bytes


def _requeue_with_need(c: Connection, job: _Candidate, size_bytes: int, **values: Any) -> None:
    """Requeue the job, and others of its program, for devices with this much memory."""
    row, document = job.row, with_measured(job.row.document or "", job.label, size_bytes)
    number = requirement_ids(c, [document])[document]
    c.execute(_requeue(job).values(requirement_id=number, **values))
    if row.fuse_key is None:
        return
    siblings = (
        select(jobs.c.id)
        .where(
            jobs.c.fuse_key == row.fuse_key,
            jobs.c.status == JobStatus.QUEUED,
            jobs.c.experiment_id == row.experiment_id,
            jobs.c.requirement_id == row.requirement_id,
        )
        .order_by(jobs.c.id)
        .limit(_SIBLINGS)
    )
    if c.dialect.name == "postgresql":
        siblings = siblings.with_for_update(skip_locked=True)
    ids = list(c.scalars(siblings))
    if ids:
        c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(requirement_id=number))


def _requeue_until_free(c: Connection, job: _Candidate, device: Device) -> None:
    """Requeue a job that fits the device but not its free memory."""
    not_before = now(c) + _RETRY_S
    if job.needs_bytes is None:
        c.execute(_requeue(job).values(not_before=not_before))
    else:
        size_bytes = min(size_class(job.needs_bytes), device.size_bytes)
        _requeue_with_need(c, job, size_bytes, not_before=not_before)
    waits = {"job_id": job.row.id, "host": device.host, "device": device.name, "since": now(c)}
    c.execute(insert_ignoring(c, memory_waits).values(waits))


def cohort_limit(c: Connection, leader: Claim, limit: int) -> int:
    """How many of `limit` peers there is memory for beside the leader, which it then has.

    For a fit of which nothing is known there are none: it measures what the next ones need.
    """
    device = device_memory.device_of(c, leader.worker)
    if device is None or limit <= 0:
        return limit
    label = memory_label(device.name)
    stated = json.loads(document_of(c, leader.job_id) or "{}").get(label)
    document = _parsed(leader.spec, leader.options)
    kind = None if document is None else fit_kind(document[0], leader.fingerprint)
    points = [] if kind is None else memory.points(c, kind, is_gpu=label == "gpu_memory")
    room = stated or device.free_bytes
    for count in range(limit + 1, 1, -1):
        need = None if kind is None else _need_of_cohort(points, kind.batch_size, count)
        if need is not None and need <= room:
            values = {"needs_bytes": stated or need}
            c.execute(update(jobs).where(jobs.c.id == leader.job_id).values(values))
            return count - 1
    return 0


def _need_of_cohort(points: Sequence[MemoryPoint], batch_size: int, count: int) -> int | None:
    """At most the sum of `count` single jobs, where no cohort was measured."""
    need, single = predict(points, batch_size, count), predict(points, batch_size)
    if need is not None or single is None:
        return None if need is None else need.size_bytes
    return count * single.size_bytes


def out_of_memory_reason(
    c: Connection, claim: Claim, bound_bytes: int, alive_s: float, *, may_shrink: bool
) -> str | None:
    """Why a job that ran out of memory alone, in batches as small as may be, has failed.

    None: there is a larger device, or memory is not watched here.
    """
    device = device_memory.device_of(c, claim.worker)
    if device is None:
        return None
    queue = c.execute(select(jobs.c.queue).where(jobs.c.id == claim.job_id)).scalar_one()
    largest = device_memory.largest_bytes(c, queue, alive_s)
    if largest > device.size_bytes:
        return None
    had = max(device.size_bytes, bound_bytes)
    remedy = "a smaller model" if may_shrink else "a smaller batch_size, or shrink_on_oom=True"
    return (
        f"it needs more than {had / 1e9:.1f}GB, alone on {device.name}, and the largest device of"
        f" queue {queue!r} has {max(largest, device.size_bytes) / 1e9:.1f}GB; give it {remedy}"
    )


def raised_to_device(c: Connection, bound: Measurement, claim: Claim) -> Measurement:
    """The bound of a job that had a device to itself: at least the size of the device."""
    device = device_memory.device_of(c, claim.worker)
    if device is None or not claim.memory_step:
        return bound
    return replace(bound, size_bytes=max(bound.size_bytes, device.size_bytes))


def _update_dispatched(job: _Candidate) -> Any:
    """An UPDATE of the job, unless another slot that had its message too has claimed it by now."""
    is_sent = (jobs.c.dispatch_seq == job.row.dispatch_seq) & (
        jobs.c.status == JobStatus.DISPATCHED
    )
    return update(jobs).where(jobs.c.id == job.row.id, is_sent)


def _requeue(job: _Candidate) -> Any:
    return _update_dispatched(job).values(status=JobStatus.QUEUED, needs_bytes=None)
