"""Which waiting jobs a child takes with the one it has claimed, to train them in one program."""

from __future__ import annotations

import traceback

from fitfleet.db.attempts.claims import Claim
from fitfleet.db.fleet import admission, capacity
from fitfleet.db.scheduling import dispatch, reservations
from fitfleet.db.session import Database
from fitfleet.db.specs.requirements import document_of
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.worker.failpoints import reach


def peers(database: Database, settings: Settings, leader: Claim) -> list[Claim]:
    """Reserve waiting jobs with the leader's fuse key: about its share of them.

    With N jobs waiting or running and W slots it takes N/W of them, so that no slot of the fleet
    is idle while another works through a long cohort, and no small rest is left. A job that
    ran out of memory, or has failed in another way, runs alone.
    """
    is_alone = leader.memory_step or leader.failures or settings.cohort_max <= 1
    if leader.fuse_key is None or is_alone:
        return []
    try:
        return _reserve(database, settings, leader)
    except DatabaseError:
        return []  # the leader is held already, and runs alone
    except Exception:  # the leader must not wait for its lease to expire because of a defect here
        traceback.print_exc()
        return []


def _reserve(database: Database, settings: Settings, leader: Claim) -> list[Claim]:
    assert leader.fuse_key is not None
    reach("in_cohort")
    with database.read() as c:
        loads = capacity.loads(c, settings.lease_s)
        requirement = document_of(c, leader.job_id)
        fitting = [load.of_groups(requirement) for load in loads if load.queue == settings.queue]
        slots = sum(load.slots for load in fitting if load is not None) or 1
        count = dispatch.count_cohort(c, leader.fuse_key, settings.cohort_max * slots)
    limit = -(-count // slots) - 1
    if limit <= 0:
        return []
    with database.begin() as c:
        limit = admission.cohort_limit(c, leader, limit)
        return reservations.reserve(c, leader, settings.lease_s, limit)
