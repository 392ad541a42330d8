"""From a message to a claim: the only step of a job that may start while the database is away."""

from __future__ import annotations

from collections.abc import Callable

from fitfleet.db.attempts import leases
from fitfleet.db.attempts.claims import Claim
from fitfleet.db.fleet import admission, gang_slot_state
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
    free_bytes: Callable[[], int | None] = lambda: None,
    on_kept: Callable[[], None] | None = None,
) -> Claim | None:
    """Claim the job of a message `(job_id, dispatch_seq)`; None: a duplicate, or out of date.

    None too if the device has no memory for it: it is back in the queue then. `free_bytes` is
    what the driver says is free there, None: nothing. Nor does a slot take one while it is kept
    for a job on several GPUs, which `on_kept` is told; None: it never is.

    While the database is away the child stays with its message. If it moved on to the next one,
    a worker that reaches the broker alone would take one message after another from those that
    could run them. The scheduler meanwhile publishes the job again, and this message is then out
    of date.
    """

    def claimed() -> Claim | None:
        free = free_bytes()
        with database.begin() as c:
            if on_kept is not None and gang_slot_state.requeue_message(c, message, worker):
                on_kept()
                return None
            if not admission.admits(c, message, worker, free, settings.lease_s):
                return None
            return leases.claim(c, *message, worker, settings.lease_s)

    return None if is_draining() else outlast(claimed, until=is_draining, on_outage=on_outage)
