"""Workers that were seen to be dead: their jobs need not wait for the leases to expire."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from fitfleet.db import leases
from fitfleet.db.leases import Claim
from fitfleet.db.session import now
from fitfleet.db.tables import jobs, workers
from fitfleet.states import FailureClass, JobStatus


def unburied(c: Connection, host: str) -> list[int]:
    """Process ids of the services of this host that have not said that they ended."""
    query = select(workers.c.pid).where(workers.c.host == host, workers.c.ended_at.is_(None))
    return sorted(set(c.scalars(query)))


def bury(c: Connection, host: str, pid: int, backoff_s: float) -> list[int]:
    """Take back the jobs of a service that is gone, counted as `lost`; their numbers.

    The caller has seen that the process, with its children, does not run any more.
    """
    query = select(workers.c.id).where(
        workers.c.host == host, workers.c.pid == pid, workers.c.ended_at.is_(None)
    )
    slots = list(c.scalars(query))
    held = select(jobs.c.id, jobs.c.attempt, jobs.c.owner).where(
        jobs.c.status == JobStatus.RUNNING, jobs.c.owner.in_(slots)
    )
    lost = []
    for row in c.execute(held).all():
        claim = _claim(row.id, row.attempt, row.owner)
        message = f"worker {row.owner} died: its process {pid} is gone"
        if leases.fail(c, claim, FailureClass.LOST, message, backoff_s=backoff_s):
            lost.append(row.id)
    c.execute(update(workers).where(workers.c.id.in_(slots)).values(ended_at=now(c)))
    return lost


def _claim(job_id: int, attempt: int, worker: str) -> Claim:
    """Only what a fence looks at."""
    return Claim(
        job_id=job_id,
        attempt=attempt,
        worker=worker,
        experiment="",
        spec="",
        options="",
        checkpoint_path=None,
        checkpoint_epoch=None,
        fuse_key=None,
        timeout_s=None,
        stall_timeout_s=None,
        memory_step=0,
        seconds=0.0,
    )
