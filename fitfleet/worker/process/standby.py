"""A new child whose slot is reserved for a job on several GPUs waits here before it uses a GPU.

So no earlier fit holds memory of these GPUs when the job starts: each process that used one has
ended. The child of the first slot then uses all of them, runs the job and exits; the others wait
until the job has ended and then serve messages.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass

from fitfleet.db.fleet import gang_slot_state
from fitfleet.db.scheduling import reservations
from fitfleet.db.session import Connection, Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.worker.process import replacement

_log = logging.getLogger(__name__)
_POLL_S = 0.5


@dataclass(frozen=True)
class FirstJob:
    """What a fresh child is to run, before it takes messages."""

    job_id: int
    devices: tuple[str, ...]  # of the records, all that the job has; empty: that of the slot


def wait_while_reserved(settings: Settings, slot: str) -> FirstJob | None:
    """Wait while the slot is reserved; what to run, None: serve messages.

    Ends the process if its service is gone or drains.
    """
    database = Database(settings.database_url)
    service = os.getppid()
    signal.signal(signal.SIGUSR2, lambda *_: os._exit(0))
    is_told = False
    try:
        while True:
            try:
                with database.begin() as c:
                    first_job, is_kept = _poll(c, slot)
            except DatabaseError:
                first_job, is_kept = None, True  # what it is kept for is not known, and SQL has it
            if first_job is None and not is_kept:
                return None
            if not is_told:
                is_told = True
                replacement.announce_standby()
                _log.info("%s is reserved for a job on several GPUs", slot)
            if first_job is not None:
                return first_job
            time.sleep(_POLL_S)
            if os.getppid() != service:
                os._exit(0)
    finally:
        database.dispose()


def _poll(c: Connection, slot: str) -> tuple[FirstJob | None, bool]:
    """What to run now, and whether the slot is kept."""
    job_id = reservations.backfilled_job(c, slot)
    if job_id is not None:
        return FirstJob(job_id, ()), True
    stands = gang_slot_state.mark_ready(c, slot)
    if stands is None:
        return None, False
    is_next = stands.is_first and stands.is_complete and not stands.is_running
    return (FirstJob(stands.job_id, tuple(stands.devices)) if is_next else None), True
