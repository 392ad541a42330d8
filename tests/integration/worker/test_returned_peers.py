"""Cohort peers whose turn has not come wait without an attempt, and go where they begin earlier."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fleets import ActAtEpochs, Fleet, assert_same_file
from support.waiting import until

from fitfleet.db.fleet import workers
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.jobs import jobs
from fitfleet.db.jobs.priority import set_priority
from fitfleet.db.reading import lookup
from fitfleet.states import JobStatus
from fitfleet.worker import cohort_turns
from fitfleet.worker.prepared_job import PreparedJob

QUEUED, DISPATCHED, RUNNING = JobStatus.QUEUED, JobStatus.DISPATCHED, JobStatus.RUNNING
COUNT = 5  # too few to be trained at once


@pytest.fixture(autouse=True)
def one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program is kept: with one a cohort of five is quicker trained at once. Jobs that take a
    fraction of a second, as these do, would begin several at a time."""
    monkeypatch.setenv("FITFLEET_PROGRAMS", str(tmp_path / "programs"))
    monkeypatch.setattr(cohort_turns, "_PORTION_S", 0.0)


def _register(fleet: Fleet, *names: str) -> None:
    slots = [Slot(name, name, "here", 1, 0, fleet.settings.queue, "cpu") for name in names]
    with fleet.database.begin() as c:
        workers.register(c, slots)


def _cohort(fleet: Fleet, job: dict[str, Any], at_second: Callable[[list[int]], None]) -> list[int]:
    """Run a cohort; `at_second` is called when its second job begins its first epoch."""
    _register(fleet, fleet.child.worker)
    ids = [fleet.submit(**{**job, "seed": seed}) for seed in range(COUNT)]

    def act(prepared: PreparedJob, epoch: int) -> None:
        if (prepared.claim.job_id, epoch) == (ids[1], 0):
            at_second(ids)

    fleet.child.engines = ActAtEpochs(fleet.child.engines, act)  # type: ignore[assignment]
    fleet.attempt()
    return ids


def _states(fleet: Fleet, ids: list[int]) -> list[tuple[str, int]]:
    """Status and number of attempts of each, as the public view has them."""
    with fleet.database.read() as c:
        rows = c.execute(sa.text("SELECT job_id, status, attempts FROM runs"))
        states = {row.job_id: (row.status, row.attempts) for row in rows}
    return [states[job_id] for job_id in ids]


def test_a_peer_does_not_run_before_its_turn(fleet: Fleet, job: dict[str, Any]) -> None:
    seen: list[Any] = []

    def look(ids: list[int]) -> None:
        time.sleep(3 * fleet.settings.heartbeat_s)
        seen.extend(_states(fleet, ids[1:]))
        with fleet.database.read() as c:
            seen.append(lookup.job(c, ids[2]))

    ids = _cohort(fleet, job, look)
    assert seen[:-1] == [(RUNNING, 1), (DISPATCHED, 0), (DISPATCHED, 0), (DISPATCHED, 0)]
    assert seen[-1].owner == fleet.child.worker and seen[-1].started_at is None
    assert _states(fleet, ids) == [(JobStatus.SUCCEEDED, 1)] * COUNT


def test_slots_that_join_get_their_share_of_a_cohort(
    fleet: Fleet, job: dict[str, Any], tmp_path: Any
) -> None:
    def join(ids: list[int]) -> None:
        _register(fleet, "there:1:0", "there:1:1")
        until(lambda: (QUEUED, 0) in _states(fleet, ids))

    ids = _cohort(fleet, job, join)
    # Four jobs were left, and three slots there: two each.
    assert _states(fleet, ids) == [(JobStatus.SUCCEEDED, 1)] * 3 + [(QUEUED, 0)] * 2
    while (QUEUED, 0) in _states(fleet, ids):
        fleet.attempt()
    assert _states(fleet, ids) == [(JobStatus.SUCCEEDED, 1)] * COUNT
    with Fleet(f"sqlite:///{tmp_path / 'alone.db'}", tmp_path / "alone") as alone:
        alone.database.upgrade()
        row = alone.run(**{**job, "seed": COUNT - 1})
        mine = fleet.row(ids[-1])
        assert_same_file(fleet.artifact(mine), alone.artifact(row))
        assert fleet.curve(mine.id) == alone.curve(row.id)


def test_a_cohort_is_preempted_by_a_more_urgent_job(fleet: Fleet, job: dict[str, Any]) -> None:
    urgent: list[int] = []

    def submit(ids: list[int]) -> None:
        urgent.append(fleet.submit(**{**job, "batch_size": 4}, priority=100))
        until(lambda: (QUEUED, 0) in _states(fleet, ids))

    ids = _cohort(fleet, job, submit)
    assert _states(fleet, ids) == [(JobStatus.SUCCEEDED, 1)] * 2 + [(QUEUED, 0)] * 3
    fleet.attempt()
    assert _states(fleet, urgent) == [(JobStatus.SUCCEEDED, 1)]
    assert _states(fleet, ids)[2:] == [(QUEUED, 0)] * 3


def test_an_equally_urgent_job_takes_nothing_from_a_cohort(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    def submit(ids: list[int]) -> None:
        fleet.submit(**{**job, "batch_size": 4})
        time.sleep(5 * fleet.settings.heartbeat_s)

    ids = _cohort(fleet, job, submit)
    assert _states(fleet, ids) == [(JobStatus.SUCCEEDED, 1)] * COUNT


def test_a_drain_gives_peers_back_without_an_attempt(fleet: Fleet, job: dict[str, Any]) -> None:
    ids = _cohort(fleet, job, lambda _: fleet.child.drain())
    assert _states(fleet, ids) == [(JobStatus.SUCCEEDED, 1), (QUEUED, 1)] + [(QUEUED, 0)] * 3
    assert fleet.events(ids[2]) == []


def test_a_peer_that_is_cancelled_or_moved_up_leaves_the_cohort(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    def change(ids: list[int]) -> None:
        with fleet.database.begin() as c:
            assert jobs.cancel(c, ids[2]) is JobStatus.CANCELLED
            assert set_priority(c, ids[3], -1)

    ids = _cohort(fleet, job, change)
    succeeded = (JobStatus.SUCCEEDED, 1)
    expected = [succeeded, succeeded, (JobStatus.CANCELLED, 0), (QUEUED, 0), succeeded]
    assert _states(fleet, ids) == expected
