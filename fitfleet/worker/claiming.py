"""From a message to a claim: the one step of a job that may find the database away."""

from __future__ import annotations

from collections.abc import Callable

from fitfleet.db import leases
from fitfleet.db.claims import Claim
from fitfleet.db.outages import outlast
from fitfleet.db.session import Database
from fitfleet.settings import Settings


def claim_message(
    database: Database,
    settings: Settings,
    message: tuple[int, int],
    worker: str,
    *,
    is_draining: Callable[[], bool],
    on_outage: Callable[[], None],
) -> Claim | None:
    """Claim the job of a message `(job_id, dispatch_seq)`; None: a duplicate, or out of date.

    While the database is away the child stays with its message. If it moved on to the next one,
    a worker that reaches the broker alone would take one message after another from those that
    could run them. The scheduler meanwhile publishes the job again, and this message is then out
    of date.
    """

    def claimed() -> Claim | None:
        with database.begin() as c:
            return leases.claim(c, *message, worker, settings.lease_s)

    return None if is_draining() else outlast(claimed, until=is_draining, on_outage=on_outage)
