"""What jobs wait for, in a sentence: a queue that no worker serves, jobs that go first."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence

from fitfleet.db.fleet import capacity, dispatch_capacity
from fitfleet.db.reading import lookup
from fitfleet.db.reading.progress import Count
from fitfleet.db.scheduling import dispatch
from fitfleet.db.session import Connection
from fitfleet.scheduler import wait_sentences
from fitfleet.settings import Settings
from fitfleet.states import JobStatus

NO_WORKER = "no worker is running yet; unless one is starting: fitfleet worker"
# Jobs ahead of these that are counted at most.
_MAX_AHEAD = 1_000
_WAITING = (JobStatus.QUEUED, JobStatus.DISPATCHED)


def unserved(c: Connection, queues: Collection[str], alive_s: float) -> list[str]:
    """A sentence for each queue without a worker, while others have some.

    A worker that has been silent for more than `alive_s` seconds serves nothing.
    """
    served = {load.queue for load in capacity.loads(c, alive_s)}
    if not served:
        return []  # no worker at all, which may come with any queue
    return [_unserved(queue, served) for queue in sorted(set(queues) - served)]


def without_worker(
    c: Connection, queues: Iterable[str], settings: Settings, *, starting: str | None = None
) -> dict[str, str]:
    """A sentence for each of these queues that no live worker serves, or no worker is there at all.

    `starting` is the queue of workers that this script has started and that may not be up yet.
    """
    served = {load.queue for load in capacity.loads(c, settings.lease_s)}
    served |= {starting} if starting else set()
    if served:
        return {queue: _unserved(queue, served) for queue in sorted(set(queues) - served)}
    return {
        queue: NO_WORKER + (f" --queue {queue}" if queue != settings.queue else "")
        for queue in sorted(set(queues))
    }


def _unserved(queue: str, served: Collection[str]) -> str:
    return (
        f"no worker serves the queue {queue!r}; there are workers for {', '.join(sorted(served))}:"
        f" fitfleet worker --queue {queue}"
    )


def unfit(
    c: Connection,
    required: Iterable[tuple[str, str]],
    alive_s: float,
    *,
    starting: str | None = None,
) -> list[str]:
    """A sentence for each (queue, requirements) that no live slot of the queue has.

    Nothing of a queue without a worker, nor of `starting`, whose workers may not be up yet.
    """
    loads = {load.queue: load for load in capacity.loads(c, alive_s)}
    sentences = [
        wait_sentences.unfit(loads[queue], requirement)
        for queue, requirement in sorted(set(required))
        if requirement and queue in loads and queue != starting
    ]
    return [f"it waits, since it {line}" for line in sentences if line is not None]


def going_first(
    c: Connection, counts: Sequence[Count], job_ids: Iterable[int], alive_s: float
) -> list[str]:
    """A sentence when other jobs run, or will, before the first of these, which `counts` counts.

    Nothing once one of these runs.
    """
    queues = {count.queue for count in counts if count.status in _WAITING}
    if not queues or any(count.status is JobStatus.RUNNING for count in counts):
        return []
    ids = set(job_ids)
    others = [row for row in lookup.find_jobs(c, statuses=[JobStatus.RUNNING]) if row.id not in ids]
    before = [row.id for row in others if row.queue in queues]
    experiments = {row.experiment for row in others}
    loads = {load.queue: load for load in capacity.loads(c, alive_s)}
    for queue in sorted(queues):
        line = dispatch.order(
            c, queue, dispatch_capacity.unlimited(c, queue, loads.get(queue), _MAX_AHEAD)
        )
        firsts = [i for i, job_id in enumerate(line) if job_id in ids]
        ahead = line[: firsts[0]] if firsts else []
        before += ahead
        experiments |= {row.experiment for row in lookup.jobs_by_id(c, ahead[:50])}
    if not before:
        return []
    count = "1 other job runs" if len(before) == 1 else f"{len(before)} other jobs run"
    strange = sorted(experiments - {count.experiment for count in counts})
    what = f"-e {shlex.quote(strange[0])}" if strange else " ".join(map(str, before[:5]))
    return [f"{count} first; cancel with: fitfleet cancel {what}"]
