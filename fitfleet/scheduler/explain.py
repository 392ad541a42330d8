"""Why a job waits, and when it should start: what the dispatcher asks, in the order it asks it.

The dispatcher serves a queue only if a live worker serves it, one of its slots where the job fits
is free, and the broker answers; it leaves out paused experiments, jobs in backoff and experiments
at their max_running; and of the rest it takes as many as there is room for, in `db.dispatch.order`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fitfleet.db.fleet import capacity, kept, places
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.fleet.kept import Gathering
from fitfleet.db.reading import standing
from fitfleet.db.reading.standing import SlotState, Standing
from fitfleet.db.scheduling import dispatch
from fitfleet.db.session import Connection, Database
from fitfleet.errors import BrokerError, DatabaseError, NotFoundError
from fitfleet.queue import celery_app
from fitfleet.queue import ping as ping_broker
from fitfleet.scheduler import limits, sentences
from fitfleet.scheduler.dispatch import ageing
from fitfleet.scheduler.estimate import starts_in
from fitfleet.settings import Settings
from fitfleet.spec.versions import installed, number_of, text_of
from fitfleet.states import JobStatus
from fitfleet.text import duration

Kind = Literal[
    "database", "no_worker", "busy", "broker", "paused", "dependency", "backoff", "max_running",
    "line", "next", "dispatched", "running", "silent", "ended", "memory", "version", "too_old",
    "labels", "quota",
]  # fmt: skip

# A place further back is told as "more than".
_FAR = 1_000
# Of these the job is only told; the others keep it from starting.
_NOTES = ("next", "dispatched", "running", "ended", "memory", "version")


@dataclass(frozen=True)
class Reason:
    """One thing that holds the job, or a note about it. `text` is a sentence without its dot."""

    kind: Kind
    text: str

    @property
    def is_holding(self) -> bool:
        """Whether the job cannot start while this is so."""
        return self.kind not in _NOTES


@dataclass(frozen=True)
class Explanation:
    """Why a job is where it is. `str()` is what a user reads."""

    job_id: int
    status: JobStatus | None  # None: the database does not answer
    reasons: tuple[Reason, ...]  # in the order in which the dispatcher asks
    place: int | None = None  # 1 is dispatched next; None: no place while something else holds it
    before: tuple[int, ...] = ()  # the first of the jobs that go first
    starts_in_s: float | None = None  # by measured times; None: not known

    def __str__(self) -> str:
        said = "; ".join(reason.text for reason in self.reasons)
        start = (
            ""
            if self.starts_in_s is None
            else f"; it should start {sentences.soon(self.starts_in_s)}"
        )
        return f"job {self.job_id} {said}{start}"

    @property
    def is_held(self) -> bool:
        """Whether something keeps it from being dispatched at the next poll."""
        return any(reason.is_holding for reason in self.reasons)


@dataclass(frozen=True)
class _Situation:
    job: Standing
    slots: list[SlotState]
    queue: QueueLoad | None  # None: no live worker serves it
    load: QueueLoad | None  # the same of those slots where the job fits; None: there are none
    before: Sequence[int] = ()  # jobs that the dispatcher takes first
    has_place: bool = False
    has_room: bool = False  # a slot where it fits may have one more message
    is_next: bool = False  # the dispatcher would take it now
    memory: str | None = None  # why there is no room for what it needs; None: that is not why
    gathering: Gathering | None = None  # of a job on several GPUs that slots are kept for
    kept: int = 0  # slots of the queue that are kept for such jobs


def explain(
    database: Database,
    settings: Settings,
    job_id: int,
    *,
    ping: Callable[[], None] | None = None,
) -> Explanation:
    """Why the job waits, what goes first, and when it should start.

    `ping` asks the broker and raises BrokerError; by default the settings' own broker is asked.
    NotFoundError if there is no such job. A database that is away is a reason, not an error.
    """
    try:
        with database.read() as c:
            facts = _read(c, settings, job_id)
            if facts.job.status is JobStatus.QUEUED:
                starts_in_s = (
                    starts_in(c, facts.job, facts.load, facts.before) if facts.has_place else None
                )
    except DatabaseError as error:
        return Explanation(job_id, None, (Reason("database", f"cannot be looked at: {error}"),))
    if facts.job.status is not JobStatus.QUEUED:
        return Explanation(job_id, facts.job.status, tuple(_elsewhere(facts, settings)))
    reasons = tuple(_reasons(facts, settings, ping or _asking(settings)))
    unknown = {"no_worker", "labels", "broker", "paused", "max_running", "quota", "too_old"} & {
        r.kind for r in reasons
    }
    return Explanation(
        job_id,
        facts.job.status,
        reasons,
        len(facts.before) + 1 if facts.has_place else None,
        tuple(facts.before[: sentences.NAMED]) if facts.has_place else (),
        None if unknown else starts_in_s,
    )


def _asking(settings: Settings) -> Callable[[], None]:
    return lambda: ping_broker(celery_app(settings))


def _read(c: Connection, settings: Settings, job_id: int) -> _Situation:
    job = standing.standing(c, job_id)
    if job is None:
        raise NotFoundError(f"there is no job {job_id}; `fitfleet ps` lists those there")
    loads = {load.queue: load for load in capacity.loads(c, settings.lease_s)}
    queue = loads.get(job.queue)
    load = None if queue is None else queue.of_groups(job.requirement)
    facts = _Situation(job, standing.slots(c), queue, load)
    held, count = kept.gathering(c, job_id), kept.count_kept(c, job.queue)
    facts = replace(facts, gathering=held, kept=count)
    return _in_line(c, facts, settings) if job.status is JobStatus.QUEUED else facts


def _in_line(c: Connection, facts: _Situation, settings: Settings) -> _Situation:
    """The same, with the place in the line and what the dispatcher would do now."""
    job, queue = facts.job, facts.queue
    waiting = places.ahead(c, job.queue, queue, _FAR)
    waiting.ageing = ageing(settings)
    has_room = is_next = False
    if queue is not None:
        now = places.places(c, queue, settings.window, settings.lease_s)
        now.ageing = waiting.ageing
        has_room = now.is_open(job.requirement_id)
        # Where there is room, lines without it do not hold it up.
        line = job.requirement_id
        waiting = places.open_now(waiting, now) if has_room else places.against(waiting, line)
        is_next = job.id in dispatch.order(c, job.queue, now)
    ahead = dispatch.order(c, job.queue, waiting)
    has_place = job.id in ahead
    before = ahead[: ahead.index(job.id)] if has_place else ahead
    facts = replace(facts, before=before, has_place=has_place, has_room=has_room, is_next=is_next)
    memory = None if has_room else limits.memory(c, job, facts.load, settings.window)
    return replace(facts, memory=memory)


def _reasons(facts: _Situation, settings: Settings, ping: Callable[[], None]) -> Iterator[Reason]:
    """As `scheduler.dispatch.Dispatcher.poll` and `db.dispatch.dispatch` ask."""
    held = [*_held_queue(facts, settings), *_broker(ping), *_left_out(facts)]
    yield from held
    if facts.has_place and facts.before and (held or not facts.is_next):
        yield Reason("line", sentences.line(facts.before))
    elif not held:
        yield Reason(
            "next",
            "is dispatched at the scheduler's next poll; if it stays so, no scheduler runs:"
            " fitfleet scheduler",
        )
    yield from _notes(facts, settings.lease_s)


def _held_queue(facts: _Situation, settings: Settings) -> Iterator[Reason]:
    requirement = facts.job.requirement
    if facts.queue is None:
        yield Reason(
            "no_worker", sentences.no_worker(facts.job.queue, facts.slots, settings.lease_s)
        )
    elif facts.load is None:
        yield Reason("labels", sentences.unfit(facts.queue, requirement) or "fits no slot")
    elif not facts.has_room:
        yield Reason("busy", facts.memory or sentences.busy(facts.load, requirement, facts.kept))


def _broker(ping: Callable[[], None]) -> Iterator[Reason]:
    try:
        ping()
    except BrokerError as error:
        yield Reason("broker", f"waits for the broker: {error}")


def _left_out(facts: _Situation) -> Iterator[Reason]:
    """What keeps it out of the line."""
    job = facts.job
    there = _newest_worker(facts)
    if there is not None and there < job.min_version:
        needed = text_of(job.min_version)
        yield Reason(
            "too_old",
            f"needs a worker of fitfleet {needed} or newer; those of queue {job.queue!r} are of"
            f" {text_of(there)}; on their hosts: pip install 'fitfleet>={needed}'",
        )
    if job.is_paused:
        yield Reason(
            "paused",
            f"is of experiment {job.experiment!r}, which is paused: fitfleet resume"
            f" {job.experiment}",
        )
    if job.waits_for is not None:
        parent, status = job.waits_for
        yield Reason(
            "dependency", f"waits for job {parent}, whose weights it starts from: {status.value}"
        )
    elif job.backoff_s > 0:
        yield Reason(
            "backoff",
            f"waits {duration(job.backoff_s)} before it will be retried: attempt"
            f" {job.attempt} ended as {job.failure_class or 'failed'} ({job.failures} of"
            f" {job.max_failures} failures)",
        )
    gpu_hours = limits.gpu_hours(job)
    if gpu_hours:
        yield Reason("quota", gpu_hours)
    is_left_out = job.is_paused or job.backoff_s > 0 or (there or 0) < job.min_version
    fits_nowhere = facts.queue is not None and facts.load is None
    if facts.has_place or is_left_out or fits_nowhere or gpu_hours:
        return
    if len(facts.before) >= _FAR:
        yield Reason("line", f"is behind more than {_FAR:,} jobs of queue {job.queue!r}")
    else:
        quota = limits.quota(job)
        yield Reason("quota", quota) if quota else Reason("max_running", limits.max_running(job))


def _newest_worker(facts: _Situation) -> int | None:
    """As the dispatcher sees it; None without workers."""
    mine = [slot for slot in facts.slots if slot.queue == facts.job.queue]
    return max((number_of(slot.versions.get("fitfleet", "")) for slot in mine), default=None)


def _notes(facts: _Situation, alive_s: float) -> Iterator[Reason]:
    job = facts.job
    if job.memory_step:
        yield Reason(
            "memory",
            f"ran out of memory {job.memory_step} times: it is tried alone, and in smaller batches"
            " where it may be",
        )
    ours = installed()
    versions = {
        slot.versions["fitfleet"]
        for slot in facts.slots
        if slot.queue == job.queue and slot.silent_s < alive_s and "fitfleet" in slot.versions
    }
    if versions and ours not in versions:
        there = ", ".join(sorted(versions))
        yield Reason("version", f"has workers of another version only: {there}, here {ours}")


def _elsewhere(facts: _Situation, settings: Settings) -> Iterator[Reason]:
    """Of a job that is not QUEUED."""
    job = facts.job
    if job.status.is_terminal:
        yield Reason("ended", f"has ended: {job.status.value}")
    elif job.status is JobStatus.RUNNING:
        yield Reason("running", f"runs on {job.owner}, epoch {job.epoch} of {job.epochs}")
        if (job.owner_silent_s or 0.0) > settings.lease_s / 3 and job.lease_left_s is not None:
            said = sentences.silent(job.owner_silent_s or 0.0, job.lease_left_s)
            yield Reason("silent", said)
    elif facts.gathering is not None:
        yield Reason("dispatched", sentences.gathering(facts.gathering))
    elif job.owner is not None:
        yield Reason(
            "dispatched",
            f"waits for its turn in a cohort of {job.owner}; it goes to another slot when one is"
            " free",
        )
    else:
        yield Reason("dispatched", f"is sent to queue {job.queue!r}: the next free slot takes it")
        if facts.queue is None:
            yield Reason(
                "no_worker", sentences.no_worker(facts.job.queue, facts.slots, settings.lease_s)
            )
        yield from _notes(facts, settings.lease_s)
