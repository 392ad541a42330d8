"""Sentences on why a job waits: a label that no slot has, slots in use, jobs ahead of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.fleet.gang_slot_state import Gathering
from fitfleet.db.reading.queue_position import SlotState
from fitfleet.db.scheduling.fair_share import Turn
from fitfleet.spec.requirements import gpus_of, measured_memory, missing
from fitfleet.text import duration

_LABELS = 12
NAMED = 3  # jobs ahead that are named


def unfit(load: QueueLoad, requirement: str) -> str | None:
    """Why no slot of the queue satisfies a requirement; None: one does."""
    lacks = [group.lacks(requirement) for group in load.groups]
    if not all(lacks) or not lacks:
        return None
    nowhere = set.intersection(*map(set, lacks))
    fewest = min(lacks, key=len)
    lacking = [part for part in fewest if part in nowhere] or _parts(requirement)
    together = "" if nowhere else " together"
    labels = [part for part in lacking if not part.startswith(("memory=", "gpu_memory=", "gpus="))]
    start = "".join(f" --label {part.replace(' ', '_')}" for part in labels)
    return (
        f"needs {' and '.join(lacking)}, which no worker of queue {load.queue!r} has{together};"
        f" there are {_labels_of_slots(load)}; start one with: fitfleet worker --queue"
        f" {load.queue}{start}"
    )


def no_worker(queue: str, slots: Sequence[SlotState], alive_s: float) -> str:
    """That no worker serves the queue, and which queues are served."""
    of_queue = [slot for slot in slots if slot.queue == queue]
    remedy = f"start one with: fitfleet worker --queue {queue}"
    if any(slot.is_draining and slot.silent_s < alive_s for slot in of_queue):
        return f"waits for a worker: all workers of queue {queue!r} are draining; {remedy}"
    if of_queue:
        silent = min(slot.silent_s for slot in of_queue)
        return (
            f"waits for a worker: {len(of_queue)} slots of queue {queue!r} have sent no heartbeat"
            f" for {duration(silent)}; {remedy}"
        )
    others = sorted({slot.queue for slot in slots if slot.silent_s < alive_s})
    there = f" (there are workers of {', '.join(others)})" if others else ""
    return f"waits for a worker: none serves queue {queue!r}{there}; {remedy}"


def requirement_text(requirement: str) -> str:
    """A requirement as ` with gpu=H100`; empty: none."""
    return f" with {' and '.join(_parts(requirement))}" if requirement else ""


def _parts(requirement: str) -> list[str]:
    measured = [
        f"{name}={size / 1e9:.1f}GB (measured)"
        for name, size in sorted(measured_memory(requirement).items())
    ]
    return missing(requirement, {}) + measured  # a slot without labels lacks all of it


def _labels_of_slots(load: QueueLoad) -> str:
    pairs = {pair for group in load.groups for pair in json.loads(group.labels).items()}
    named = [f"{name}={value}" for name, value in sorted(pairs)]
    more = f" and {len(named) - _LABELS} more" if len(named) > _LABELS else ""
    return ", ".join(named[:_LABELS]) + more if named else "no labels"


def slots_taken(load: QueueLoad, requirement: str, kept: int = 0) -> str:
    """The slots it waits for and messages sent to them; `kept`: slots for jobs on several GPUs."""
    gpus = gpus_of(requirement)
    if gpus > 1 and load.free > 0:
        return (
            f"waits for {gpus} GPUs of one host: those of queue {load.queue!r} that has so many are"
            " kept for another job"
        )
    required = requirement_text(requirement)
    slots = "the slot" if load.slots == 1 else f"all {load.slots} slots"
    sent = f", and {load.dispatched} jobs are sent already" if load.dispatched else ""
    there = f"{slots} of queue {load.queue!r}{required} {_is_or_are(load.slots)} taken"
    held = f", {kept} of them kept for jobs on several GPUs" if kept else ""
    return f"waits for a free slot: {there}{held}{sent}"


def gathering(job: Gathering) -> str:
    """What a job on several GPUs waits for whose slots are reserved."""
    count, ready = len(job.slots), len(job.slots) - len(job.not_ready)
    names = ", ".join(str(job_id) for job_id in job.running[:NAMED])
    ends = f"job {names} ends" if len(job.running) == 1 else f"jobs {names} end"
    then = ends if job.running else "their processes are fresh"
    return (
        f"has {count} slots kept for it, {', '.join(job.slots[:NAMED])}"
        f"{', ...' if count > NAMED else ''}: {ready} are ready, and it begins when {then}"
    )


def no_memory(needs_bytes: int, free_bytes: int, queue: str) -> str:
    """Slots are free where it fits, but running jobs leave too little memory there."""
    return (
        f"waits for memory: needs {needs_bytes / 1e9:.1f}GB (measured), and of the devices of queue"
        f" {queue!r} none has more than {free_bytes / 1e9:.1f}GB free"
    )


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"


def position(before: Sequence[int]) -> str:
    """Its position, and the jobs ahead of it."""
    names = ", ".join(str(job_id) for job_id in before[:NAMED])
    more = ", ..." if len(before) > NAMED else ""
    jobs, go = ("job", "goes") if len(before) == 1 else ("jobs", "go")
    return f"is number {len(before) + 1:,} in its queue: {jobs} {names}{more} {go} first"


def lower_share(turn: Turn, queue: str) -> str:
    """Why another group or user comes first."""
    slots = "1 slot" if turn.slots == 1 else f"{turn.slots} slots"
    if turn.is_above:
        return (
            f"is of {turn.kind} {turn.name!r}, which uses {slots} of queue {queue!r} and has a"
            f" share of {turn.share:.3g} among those that wait; {turn.kind} {turn.first!r} goes"
            " first"
        )
    return (
        f"is of {turn.kind} {turn.name!r}, which has been served more for its shares of queue"
        f" {queue!r} than {turn.kind} {turn.first!r}, which goes first"
    )


def no_heartbeat(silent_s: float, lease_left_s: float) -> str:
    """For a running job whose worker sends no heartbeat any more."""
    return (
        f"its worker has sent no heartbeat for {duration(silent_s)};"
        f" it is requeued in {duration(max(lease_left_s, 0.0))}"
    )


def start_time(seconds: float) -> str:
    """A time from now in words."""
    return "at once" if seconds < 1 else f"in about {duration(seconds)}"
