"""Which limit of its queue, experiment, user or group a job waits for, in a sentence."""

from __future__ import annotations

from fitfleet.db.accounts.usage import Limited
from fitfleet.db.fleet import admission, device_memory
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.reading.queue_position import Standing
from fitfleet.db.session import Connection
from fitfleet.scheduler import wait_sentences
from fitfleet.spec.requirements import measured_memory


def gpu_hours(job: Standing) -> str | None:
    """None unless user or group have used the GPU-hours of a quota and the job's queue has GPUs."""
    quota, group = job.quota, job.group
    if not job.is_on_gpu:
        return None
    if quota is not None and not quota.has_gpu_time:
        return _used_up(quota, f"is of user {quota.user!r}, who has", f"user set {quota.user}")
    if group is not None and not group.has_gpu_time:
        of_group = f"is of group {group.name!r}, whose users have"
        return _used_up(group, of_group, f"group set {group.name}")
    return None


def _used_up(limited: Limited, holder: str, command: str) -> str:
    return (
        f"{holder} used {limited.gpu_hours_used:.1f} of {limited.gpu_hours:g} GPU-hours in 30 days"
        f" (quota); an admin may raise it: fitfleet {command} --gpu-hours HOURS"
    )


def quota(job: Standing) -> str | None:
    """None unless the user may have fewer jobs in flight than the experiment."""
    limits = job.quota
    if limits is None or limits.max_running is None:
        return None
    left = limits.max_running - limits.in_flight
    if job.max_running is not None and job.max_running - job.in_flight < left:
        return None
    return (
        f"is of user {limits.user!r}, who may have {limits.max_running} jobs in flight and has"
        f" {limits.in_flight} (quota); others of theirs go first"
    )


def group_quota(job: Standing) -> str | None:
    """None unless the group may have fewer jobs in flight than its user and the experiment."""
    group = job.group
    if group is None or group.room is None:
        return None
    user_room = None if job.quota is None else job.quota.room
    of_experiment = None if job.max_running is None else job.max_running - job.in_flight
    if any(room is not None and room < group.room for room in (user_room, of_experiment)):
        return None
    return (
        f"is of group {group.name!r}, whose users may have {group.max_running} jobs in flight and"
        f" have {group.in_flight} (quota); others of theirs go first"
    )


def max_running(job: Standing) -> str:
    """The limit of the experiment."""
    return (
        f"is of experiment {job.experiment!r}, which may have {job.max_running} jobs in flight"
        f" and has {job.in_flight} (max_running); others of it go first"
    )


def memory(c: Connection, job: Standing, load: QueueLoad | None, window: int) -> str | None:
    """Slots where it fits are free, but not the memory of their devices; None: that is not why."""
    measured = measured_memory(job.requirement)
    if not measured or load is None or load.room(window) <= 0:
        return None
    free = device_memory.free_by_route(c, load.queue)
    there = max((free[g.route] for g in load.groups if g.route in free), default=0)
    label, size_class = max(measured.items(), key=lambda item: item[1])
    needs_bytes = admission.needed_bytes(c, job.id, label) or size_class
    return wait_sentences.no_memory(needs_bytes, there, load.queue)
