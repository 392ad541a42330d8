"""Why a job waits, and when it should start: what the dispatcher asks, in the order it asks it.

The dispatcher serves a queue only if a live worker serves it, one of its slots is free, and
the broker answers; it leaves out paused experiments, jobs in backoff and experiments at their
max_running; and of the rest it takes as many as there is room for, in `db.dispatch.order`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fitfleet.db import capacity, dispatch, standing
from fitfleet.db.capacity import QueueLoad
from fitfleet.db.session import Connection, Database
from fitfleet.db.standing import SlotState, Standing
from fitfleet.errors import BrokerError, DatabaseError, NotFoundError
from fitfleet.queue import celery_app
from fitfleet.queue import ping as ping_broker
from fitfleet.scheduler.estimate import starts_in
from fitfleet.settings import Settings
from fitfleet.spec.versions import installed, number_of, text_of
from fitfleet.states import JobStatus

Kind = Literal[
    "database", "no_worker", "busy", "broker", "paused", "dependency", "backoff", "max_running",
    "line", "next", "dispatched", "running", "silent", "ended", "memory", "version", "too_old",
]  # fmt: skip

# A place further back is told as "more than".
_FAR = 1_000
_NAMED = 3
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
        start = "" if self.starts_in_s is None else f"; it should start {_soon(self.starts_in_s)}"
        return f"job {self.job_id} {said}{start}"

    @property
    def is_held(self) -> bool:
        """Whether something keeps it from being dispatched at the next poll."""
        return any(reason.is_holding for reason in self.reasons)


@dataclass(frozen=True)
class _Situation:
    job: Standing
    slots: list[SlotState]
    load: QueueLoad | None
    before: list[int]  # jobs that the dispatcher takes first
    has_place: bool


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
    unknown = {"no_worker", "broker", "paused", "max_running", "too_old"} & {
        r.kind for r in reasons
    }
    return Explanation(
        job_id,
        facts.job.status,
        reasons,
        len(facts.before) + 1 if facts.has_place else None,
        tuple(facts.before[:_NAMED]) if facts.has_place else (),
        None if unknown else starts_in_s,
    )


def _asking(settings: Settings) -> Callable[[], None]:
    return lambda: ping_broker(celery_app(settings))


def _read(c: Connection, settings: Settings, job_id: int) -> _Situation:
    job = standing.standing(c, job_id)
    if job is None:
        raise NotFoundError(f"there is no job {job_id}; `fitfleet ps` lists those there")
    loads = {load.queue: load for load in capacity.loads(c, settings.lease_s)}
    ahead = dispatch.order(c, job.queue, _FAR) if job.status is JobStatus.QUEUED else []
    has_place = job_id in ahead
    before = ahead[: ahead.index(job_id)] if has_place else ahead
    return _Situation(job, standing.slots(c), loads.get(job.queue), before, has_place)


def _reasons(facts: _Situation, settings: Settings, ping: Callable[[], None]) -> Iterator[Reason]:
    """As `scheduler.dispatch.Dispatcher.poll` and `db.dispatch.dispatch` ask."""
    load = facts.load
    room = 0 if load is None else settings.window * load.free - load.dispatched
    held = [*_held_queue(facts, settings, room), *_broker(ping), *_left_out(facts)]
    yield from held
    if facts.has_place and facts.before and (held or len(facts.before) >= room):
        yield Reason("line", _line(facts.before))
    elif not held:
        yield Reason(
            "next",
            "is dispatched at the scheduler's next poll; if it stays so, no scheduler runs:"
            " fitfleet scheduler",
        )
    yield from _notes(facts, settings.lease_s)


def _held_queue(facts: _Situation, settings: Settings, room: int) -> Iterator[Reason]:
    if facts.load is None:
        yield Reason("no_worker", _no_worker(facts, settings.lease_s))
    elif room <= 0:
        yield Reason("busy", _busy(facts.load))


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
            f"waits {_length(job.backoff_s)} before it is tried again: attempt {job.attempt} ended"
            f" as {job.failure_class or 'failed'} ({job.failures} of {job.max_failures} failures)",
        )
    if facts.has_place or job.is_paused or job.backoff_s > 0 or (there or 0) < job.min_version:
        return
    if len(facts.before) >= _FAR:
        yield Reason("line", f"is behind more than {_FAR:,} jobs of queue {job.queue!r}")
    else:
        yield Reason(
            "max_running",
            f"is of experiment {job.experiment!r}, which may have {job.max_running} jobs in flight"
            f" and has {job.in_flight} (max_running); others of it go first",
        )


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


def _no_worker(facts: _Situation, alive_s: float) -> str:
    queue = facts.job.queue
    mine = [slot for slot in facts.slots if slot.queue == queue]
    remedy = f"start one with: fitfleet worker --queue {queue}"
    if any(slot.is_draining and slot.silent_s < alive_s for slot in mine):
        return f"waits for a worker: those of queue {queue!r} drain; {remedy}"
    if mine:
        silent = min(slot.silent_s for slot in mine)
        return (
            f"waits for a worker: {len(mine)} slots of queue {queue!r} have not been heard of for"
            f" {_length(silent)}; {remedy}"
        )
    others = sorted({slot.queue for slot in facts.slots if slot.silent_s < alive_s})
    there = f" (there are workers of {', '.join(others)})" if others else ""
    return f"waits for a worker: none serves queue {queue!r}{there}; {remedy}"


def _busy(load: QueueLoad) -> str:
    slots = "the slot" if load.slots == 1 else f"all {load.slots} slots"
    sent = f", and {load.dispatched} jobs are sent already" if load.dispatched else ""
    return f"waits for a free slot: {slots} of queue {load.queue!r} {_are(load.slots)} taken{sent}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _line(before: Sequence[int]) -> str:
    names = ", ".join(str(job_id) for job_id in before[:_NAMED])
    more = ", ..." if len(before) > _NAMED else ""
    jobs, go = ("job", "goes") if len(before) == 1 else ("jobs", "go")
    return f"is number {len(before) + 1:,} in its queue: {jobs} {names}{more} {go} first"


def _elsewhere(facts: _Situation, settings: Settings) -> Iterator[Reason]:
    """Of a job that is not QUEUED."""
    job = facts.job
    if job.status.is_terminal:
        yield Reason("ended", f"has ended: {job.status.value}")
    elif job.status is JobStatus.RUNNING:
        yield Reason("running", f"runs on {job.owner}, epoch {job.epoch} of {job.epochs}")
        if (job.owner_silent_s or 0.0) > settings.lease_s / 3 and job.lease_left_s is not None:
            yield Reason(
                "silent",
                f"its worker has not been heard of for {_length(job.owner_silent_s or 0.0)}; it is"
                f" taken back in {_length(max(job.lease_left_s, 0.0))}",
            )
    elif job.owner is not None:
        yield Reason(
            "dispatched",
            f"waits for its turn in a cohort of {job.owner}; it goes to another slot when one is"
            " free",
        )
    else:
        yield Reason("dispatched", f"is sent to queue {job.queue!r}: the next free slot takes it")
        if facts.load is None:
            yield Reason("no_worker", _no_worker(facts, settings.lease_s))
        yield from _notes(facts, settings.lease_s)


def _length(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _soon(seconds: float) -> str:
    return "at once" if seconds < 1 else f"in about {_length(seconds)}"
