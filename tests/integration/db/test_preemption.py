"""A job of a lower priority goes back to the queue for one that has waited long, and resumes."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from support.rows import column, dispatch, insert, new_job, register, status, take

from fitfleet.db.attempts import ends, leases
from fitfleet.db.attempts.claims import Claim
from fitfleet.db.fleet import workers
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.jobs import experiments
from fitfleet.db.reading import lookup
from fitfleet.db.scheduling import preemption, reservations
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.states import JobStatus, Request

WAIT_S = 30.0


def _make_way(database: Database) -> list[int]:
    with database.begin() as c:
        return preemption.preempt(c, 60.0, WAIT_S)


def _insert_waiting(database: Database, *priorities: int, **options: object) -> list[int]:
    """Jobs that have waited long enough."""
    experiment = "urgent"
    rows = [
        new_job(f"w{p}", experiment=experiment, priority=p, **options)  # type: ignore[arg-type]
        for p in priorities
    ]
    ids = insert(database, *rows)
    with database.begin() as c:
        values = {"submitted_at": jobs.c.submitted_at - WAIT_S - 1.0}
        c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(values))
    return ids


def _run(database: Database, content: str, priority: int = 0, slot: int = 0) -> Claim:
    insert(database, new_job(content, priority=priority))
    (claim,) = take(database, worker=f"host:1:{slot}")
    return claim


def test_the_less_urgent_job_is_preempted_and_the_other_runs_first(database: Database) -> None:
    register(database, 1)
    low = _run(database, "low")
    (high,) = _insert_waiting(database, 5)
    assert _make_way(database) == [low.job_id]
    assert column(database, low.job_id, "request") == Request.RELEASE
    assert _make_way(database) == []  # one at a time
    with database.read() as c:
        (event,) = [e for e in lookup.events_of(c, low.job_id) if e["kind"] == "preempted"]
    assert event["detail"] == f"for job {high} of priority 5"
    with database.begin() as c:
        assert ends.release(c, low, seconds=1.0)
    assert column(database, low.job_id, "failures") == 0
    assert [job_id for job_id, _ in dispatch(database, 2)] == [high, low.job_id]


def test_nothing_is_preempted_for_a_job_that_is_new_or_not_more_urgent(
    database: Database,
) -> None:
    register(database, 1)
    _run(database, "running", priority=5)
    insert(database, new_job("fresh", priority=9))
    assert _make_way(database) == []
    with database.begin() as c:
        c.execute(update(jobs).where(jobs.c.status == JobStatus.QUEUED).values(priority=4))
    _insert_waiting(database, 5)
    assert _make_way(database) == []


def test_nothing_is_preempted_while_a_slot_is_free(database: Database) -> None:
    register(database, 2)
    _run(database, "low")
    _insert_waiting(database, 5)
    assert _make_way(database) == []


def test_nothing_is_preempted_for_a_job_that_could_not_start(database: Database) -> None:
    register(database, 1)
    _run(database, "low")
    _insert_waiting(database, 5)
    with database.begin() as c:
        experiments.pause(c, "urgent")
    assert _make_way(database) == []


def test_it_is_the_least_urgent_and_of_several_the_one_begun_last(database: Database) -> None:
    register(database, 3)
    claims = [_run(database, f"{n}", priority=p, slot=n) for n, p in enumerate((3, 1, 1))]
    with database.begin() as c:
        for n, claim in enumerate(claims):
            values = {"started_at": 1000.0 + n}
            c.execute(update(jobs).where(jobs.c.id == claim.job_id).values(values))
    _insert_waiting(database, 5)
    assert _make_way(database) == [claims[2].job_id]


def test_what_would_take_the_slot_first_goes_back_too(database: Database) -> None:
    register(database, 1)
    insert(database, *(new_job(f"{n}", fuse_key="k") for n in range(3)))
    (leader,) = take(database)
    with database.begin() as c:
        peers = reservations.reserve(c, leader, 60.0, 1)
    ((sent, _),) = dispatch(database, 1)
    (high,) = _insert_waiting(database, 5)
    assert _make_way(database) == [leader.job_id]
    waiting = [peers[0].job_id, sent, high]
    assert {status(database, job_id) for job_id in waiting} == {JobStatus.QUEUED}
    assert [job_id for job_id, _ in dispatch(database, 1)] == [high]


@pytest.mark.parametrize("zone", ["a", "b"])
def test_it_is_a_slot_where_the_urgent_one_fits(database: Database, zone: str) -> None:
    slots = [
        Slot(f"{z}:1:0", z, z, 1, 0, "cpu", "cpu", labels={"zone": z, "memory": "8GB"})
        for z in "ab"
    ]
    with database.begin() as c:
        workers.register(c, slots)
    claims = {}
    for z in "ab":
        insert(database, new_job(z))
        ((job_id, dispatch_seq),) = dispatch(database, 1)
        with database.begin() as c:
            claims[z] = leases.claim(c, job_id, dispatch_seq, f"{z}:1:0", 60.0)
    _insert_waiting(database, 5, requires={"zone": zone})
    claim = claims[zone]
    assert claim is not None and _make_way(database) == [claim.job_id]
