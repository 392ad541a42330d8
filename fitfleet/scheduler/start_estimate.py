"""When a waiting job should start, by measured times."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from fitfleet.db.fleet import durations
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.reading.queue_position import Standing
from fitfleet.db.session import Connection
from fitfleet.spec.requirements import gpus_of


def starts_in(
    c: Connection, job: Standing, load: QueueLoad | None, before: Sequence[int]
) -> float | None:
    """Seconds until it starts, if each slot takes the next job of the queue when it is free.

    `load` is of the slots where it fits, `before` are the jobs that go first. From the mean times
    of finished jobs and of this attempt's epochs; None if they are not known.
    """
    if load is None or gpus_of(job.requirement) > 1:
        return None
    routes = {group.route for group in load.groups} if job.requirement else None
    running = durations.running(c, job.queue, routes)
    ahead = durations.experiments_of(c, before)
    kinds = {*ahead, *(run.experiment_id for run in running)}
    means = durations.mean_seconds(c, job.queue, kinds)
    left: dict[str, float] = {}
    for run in running:
        left_s = run.left_s if run.left_s is not None else means.get(run.experiment_id)
        if left_s is None:
            return None
        left[run.owner] = max(left.get(run.owner, 0.0), left_s)
    if any(experiment not in means for experiment in ahead):
        return None
    free_at = sorted([*left.values(), *([0.0] * load.free)])
    heapq.heapify(free_at)
    for experiment in ahead:
        heapq.heapreplace(free_at, free_at[0] + means[experiment])
    return max(free_at[0], job.backoff_s, 0.0)
