"""Recovery: jobs of dead workers, and those whose lease has expired, return to the queue."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from sqlalchemy import Connection, select, update

from fitfleet.db.accounts import webhooks
from fitfleet.db.attempts import ends
from fitfleet.db.attempts.claims import Claim, claim_of
from fitfleet.db.scheduling import reservations
from fitfleet.db.schema.tables import jobs, workers
from fitfleet.db.session import now
from fitfleet.states import FailureClass, JobStatus

_BATCH = 200


def requeue_expired(c: Connection, backoff_s: float) -> list[int]:
    """Requeue running jobs whose lease has expired, counted as `lost`; their ids.

    So do those that were only reserved, which costs them nothing.
    """
    query = (
        select(jobs.c.id, jobs.c.attempt, jobs.c.owner)
        .where(jobs.c.status == JobStatus.RUNNING, jobs.c.lease_until < now(c))
        .order_by(jobs.c.id)
        .limit(_BATCH)
    )
    if c.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    lost: dict[str, list[int]] = {}
    for row in c.execute(query).all():
        claim = claim_of(row.id, row.attempt, row.owner)
        message = f"worker {row.owner} sent no heartbeat; its lease expired"
        if ends.fail(c, claim, FailureClass.LOST, message, backoff_s=backoff_s):
            lost.setdefault(row.owner, []).append(row.id)
    webhooks.workers_lost(c, lost)
    return sorted(chain(*lost.values())) + reservations.requeue_expired(c)


def open_services(c: Connection, host: str) -> list[int]:
    """Process ids of this host's worker services whose rows have no end."""
    query = select(workers.c.pid).where(workers.c.host == host, workers.c.ended_at.is_(None))
    return sorted(set(c.scalars(query)))


def requeue_dead_service(c: Connection, host: str, pid: int, backoff_s: float) -> list[int]:
    """Requeue the jobs of a dead worker service, counted as `lost`; their ids.

    The caller has seen that the process and its children no longer run.
    """
    query = select(workers.c.id).where(
        workers.c.host == host, workers.c.pid == pid, workers.c.ended_at.is_(None)
    )
    slots = list(c.scalars(query))
    lost: dict[str, list[int]] = {slot: [] for slot in slots}
    for claim in _held_by(c, slots):
        message = f"worker {claim.worker} died: its process {pid} is gone"
        if ends.fail(c, claim, FailureClass.LOST, message, backoff_s=backoff_s):
            lost[claim.worker].append(claim.job_id)
    webhooks.workers_lost(c, lost)
    reservations.hand_back_of(c, slots)
    c.execute(update(workers).where(workers.c.id.in_(slots)).values(ended_at=now(c)))
    return sorted(chain(*lost.values()))


def release(c: Connection, slots: Sequence[str]) -> list[int]:
    """Return the jobs of draining slots to the queue, which is no failure; their ids.

    The caller has ended the children of these slots.
    """
    held = [claim.job_id for claim in _held_by(c, slots) if ends.release(c, claim, seconds=0.0)]
    return held + reservations.hand_back_of(c, slots)


def _held_by(c: Connection, slots: Sequence[str]) -> list[Claim]:
    query = (
        select(jobs.c.id, jobs.c.attempt, jobs.c.owner)
        .where(jobs.c.status == JobStatus.RUNNING, jobs.c.owner.in_(slots))
        .order_by(jobs.c.id)
    )
    return [claim_of(row.id, row.attempt, row.owner) for row in c.execute(query).all()]
