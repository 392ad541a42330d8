"""How many jobs of a cohort start their attempts at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from fitfleet.worker.prepared_job import PreparedJob

# Attempts begin at most this long before they are trained, in one transaction.
_PORTION_S = 1.0
_PORTION_JOBS = 16


def turns(
    jobs: Sequence[PreparedJob],
    begin: Callable[[Sequence[PreparedJob]], None],
    *,
    are_together: bool,
) -> Iterator[list[PreparedJob]]:
    """The jobs that are trained at once, turn by turn, after `begin` has begun their attempts.

    Of many jobs only those begin that are trained within about a second; the others may still go
    to a free slot, or back to the queue for a more urgent job.
    """
    waiting = _open(jobs)
    count = len(waiting) if are_together else 1
    while waiting:
        portion, waiting = waiting[:count], waiting[count:]
        at = time.monotonic()
        begin(portion)
        if are_together:
            yield _open(portion)
        else:
            for job in portion:
                yield from [[job]] if not job.control.is_done else []
        seconds = (time.monotonic() - at) / len(portion)
        count = max(1, min(_PORTION_JOBS, int(_PORTION_S / max(seconds, 1e-3))))
        waiting = _open(waiting)


def _open(jobs: Sequence[PreparedJob]) -> list[PreparedJob]:
    return [job for job in jobs if not job.control.is_done]
