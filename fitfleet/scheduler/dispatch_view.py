"""A job from the dispatcher's view: its queue, slots where it fits, and the jobs ahead of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fitfleet.db.fleet import capacity, dispatch_capacity, gang_slot_state
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.fleet.gang_slot_state import Gathering
from fitfleet.db.reading import queue_position
from fitfleet.db.reading.queue_position import SlotState, Standing
from fitfleet.db.scheduling import dispatch
from fitfleet.db.scheduling.fair_share import Turn
from fitfleet.db.session import Connection
from fitfleet.errors import NotFoundError
from fitfleet.scheduler import limits
from fitfleet.scheduler.dispatch import ageing
from fitfleet.settings import Settings
from fitfleet.states import JobStatus

# A later position is shown as "more than".
MAX_POSITION = 1_000


@dataclass(frozen=True)
class Situation:
    """A job, its queue and its position there."""

    job: Standing
    slots: list[SlotState]
    queue: QueueLoad | None  # None: no live worker serves it
    load: QueueLoad | None  # the same of those slots where the job fits; None: there are none
    before: Sequence[int] = ()  # jobs that the dispatcher takes first
    has_position: bool = False
    has_room: bool = False  # a slot where it fits may have one more message
    is_next: bool = False  # the dispatcher would take it now
    memory: str | None = None  # why there is no room for what it needs; None: that is not why
    gathering: Gathering | None = None  # of a job on several GPUs that slots are kept for
    kept: int = 0  # slots of the queue that are kept for such jobs
    turn: Turn | None = None  # why another group or user goes before the job's own


def read_situation(c: Connection, settings: Settings, job_id: int) -> Situation:
    """The situation of a job; NotFoundError if there is none."""
    job = queue_position.standing(c, job_id)
    if job is None:
        raise NotFoundError(f"there is no job {job_id}; `fitfleet ps` lists those there")
    loads = {load.queue: load for load in capacity.loads(c, settings.lease_s)}
    queue = loads.get(job.queue)
    load = None if queue is None else queue.of_groups(job.requirement)
    facts = Situation(job, queue_position.slots(c), queue, load)
    held, count = gang_slot_state.gathering(c, job_id), gang_slot_state.count_kept(c, job.queue)
    facts = replace(facts, gathering=held, kept=count)
    return _with_position(c, facts, settings) if job.status is JobStatus.QUEUED else facts


def _with_position(c: Connection, facts: Situation, settings: Settings) -> Situation:
    """The same, with the position and what the dispatcher would do now."""
    job, queue = facts.job, facts.queue
    waiting = dispatch_capacity.unlimited(c, job.queue, queue, MAX_POSITION)
    waiting.ageing = ageing(settings)
    has_room = is_next = False
    if queue is not None:
        now = dispatch_capacity.capacity_now(c, queue, settings.window, settings.lease_s)
        now.ageing = waiting.ageing
        has_room = now.is_open(job.requirement_id)
        # Where there is capacity, requirements without it do not delay the job.
        line = job.requirement_id
        waiting = (
            dispatch_capacity.with_room(waiting, now)
            if has_room
            else dispatch_capacity.competing(waiting, line)
        )
        is_next = job.id in dispatch.order(c, job.queue, now)
    ahead = dispatch.order(c, job.queue, waiting)
    has_position = job.id in ahead
    turn = None
    if has_position:
        turn = dispatch.turn_of(c, job.queue, waiting, job.user, free=int(has_room))
    before = ahead[: ahead.index(job.id)] if has_position else ahead
    facts = replace(
        facts, before=before, has_position=has_position, has_room=has_room, is_next=is_next
    )
    facts = replace(facts, turn=turn)
    memory = None if has_room else limits.memory(c, job, facts.load, settings.window)
    return replace(facts, memory=memory)
