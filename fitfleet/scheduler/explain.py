"""Why a job waits, and when it should start: the dispatcher's checks, in their order.

The dispatcher serves a queue only if a live worker serves it, one of its slots where the job fits
is free, and the broker answers; it leaves out paused experiments, jobs in backoff and experiments
at their max_running; and of the rest it takes as many as there is room for, in `db.dispatch.order`:
where groups and users have shares, first of those whose turn it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from fitfleet.db.session import Database
from fitfleet.errors import BrokerError, DatabaseError
from fitfleet.queue import celery_app
from fitfleet.queue import ping as ping_broker
from fitfleet.scheduler import limits, wait_sentences
from fitfleet.scheduler.dispatch_view import MAX_POSITION, Situation, read_situation
from fitfleet.scheduler.start_estimate import starts_in
from fitfleet.settings import Settings
from fitfleet.spec.versions import installed, number_of, text_of
from fitfleet.states import JobStatus
from fitfleet.text import duration

Kind = Literal[
    "database", "no_worker", "busy", "broker", "paused", "dependency", "backoff", "max_running",
    "line", "next", "dispatched", "running", "silent", "ended", "memory", "version", "too_old",
    "labels", "quota", "share",
]  # fmt: skip

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
        text = "; ".join(reason.text for reason in self.reasons)
        start = (
            ""
            if self.starts_in_s is None
            else f"; it should start {wait_sentences.start_time(self.starts_in_s)}"
        )
        return f"job {self.job_id} {text}{start}"

    @property
    def is_held(self) -> bool:
        """Whether something keeps it from being dispatched at the next poll."""
        return any(reason.is_holding for reason in self.reasons)


def explain(
    database: Database,
    settings: Settings,
    job_id: int,
    *,
    ping: Callable[[], None] | None = None,
) -> Explanation:
    """Why the job waits, which jobs are ahead of it, and when it should start.

    `ping` asks the broker and raises BrokerError; by default the settings' own broker is asked.
    NotFoundError if there is no such job. A database that is away is a reason, not an error.
    """
    try:
        with database.read() as c:
            facts = read_situation(c, settings, job_id)
            if facts.job.status is JobStatus.QUEUED:
                starts_in_s = (
                    starts_in(c, facts.job, facts.load, facts.before)
                    if facts.has_position
                    else None
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
        len(facts.before) + 1 if facts.has_position else None,
        tuple(facts.before[: wait_sentences.NAMED]) if facts.has_position else (),
        None if unknown else starts_in_s,
    )


def _asking(settings: Settings) -> Callable[[], None]:
    return lambda: ping_broker(celery_app(settings))


def _reasons(facts: Situation, settings: Settings, ping: Callable[[], None]) -> Iterator[Reason]:
    """The checks of `scheduler.dispatch.Dispatcher.poll` and `db.scheduling.dispatch.dispatch`."""
    held = [*_held_queue(facts, settings), *_broker(ping), *_left_out(facts)]
    yield from held
    if facts.has_position and facts.before and (held or not facts.is_next):
        if facts.turn is not None:
            yield Reason("share", wait_sentences.lower_share(facts.turn, facts.job.queue))
        yield Reason("line", wait_sentences.position(facts.before))
    elif not held:
        yield Reason(
            "next",
            "is dispatched at the scheduler's next poll; if it stays so, no scheduler runs:"
            " fitfleet scheduler",
        )
    yield from _notes(facts, settings.lease_s)


def _held_queue(facts: Situation, settings: Settings) -> Iterator[Reason]:
    requirement = facts.job.requirement
    if facts.queue is None:
        yield Reason(
            "no_worker", wait_sentences.no_worker(facts.job.queue, facts.slots, settings.lease_s)
        )
    elif facts.load is None:
        yield Reason("labels", wait_sentences.unfit(facts.queue, requirement) or "fits no slot")
    elif not facts.has_room:
        yield Reason(
            "busy", facts.memory or wait_sentences.slots_taken(facts.load, requirement, facts.kept)
        )


def _broker(ping: Callable[[], None]) -> Iterator[Reason]:
    try:
        ping()
    except BrokerError as error:
        yield Reason("broker", f"waits for the broker: {error}")


def _left_out(facts: Situation) -> Iterator[Reason]:
    """What keeps it from being a candidate."""
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
    if facts.has_position or is_left_out or fits_nowhere or gpu_hours:
        return
    if len(facts.before) >= MAX_POSITION:
        yield Reason("line", f"is behind more than {MAX_POSITION:,} jobs of queue {job.queue!r}")
    else:
        quota = limits.group_quota(job) or limits.quota(job)
        yield Reason("quota", quota) if quota else Reason("max_running", limits.max_running(job))


def _newest_worker(facts: Situation) -> int | None:
    """As the dispatcher sees it; None without workers."""
    slots = [slot for slot in facts.slots if slot.queue == facts.job.queue]
    return max((number_of(slot.versions.get("fitfleet", "")) for slot in slots), default=None)


def _notes(facts: Situation, alive_s: float) -> Iterator[Reason]:
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


def _elsewhere(facts: Situation, settings: Settings) -> Iterator[Reason]:
    """Of a job that is not QUEUED."""
    job = facts.job
    if job.status.is_terminal:
        yield Reason("ended", f"has ended: {job.status.value}")
    elif job.status is JobStatus.RUNNING:
        yield Reason("running", f"runs on {job.owner}, epoch {job.epoch} of {job.epochs}")
        if (job.owner_silent_s or 0.0) > settings.lease_s / 3 and job.lease_left_s is not None:
            sentence = wait_sentences.no_heartbeat(job.owner_silent_s or 0.0, job.lease_left_s)
            yield Reason("silent", sentence)
    elif facts.gathering is not None:
        yield Reason("dispatched", wait_sentences.gathering(facts.gathering))
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
                "no_worker",
                wait_sentences.no_worker(facts.job.queue, facts.slots, settings.lease_s),
            )
        yield from _notes(facts, settings.lease_s)
