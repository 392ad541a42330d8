"""Quotas of users, as the dispatcher holds them and `why` tells them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from support.rows import commit, dispatch, insert_many, register

from fitfleet.db.accounts import users
from fitfleet.db.actor import Actor, Scope, acting
from fitfleet.db.attempts import leases
from fitfleet.db.fleet import workers
from fitfleet.db.fleet.dispatch_capacity import DispatchCapacity
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.reading import gauges
from fitfleet.db.scheduling import reservations
from fitfleet.db.scheduling.dispatch import order
from fitfleet.db.schema.tables import attempts, jobs
from fitfleet.db.session import Database
from fitfleet.errors import AccessError
from fitfleet.scheduler.explain import explain
from fitfleet.settings import Settings

GPU = "host:2:0"


@contextmanager
def of(user: str) -> Iterator[None]:
    """What happens inside is of that user, by a token to submit."""
    with acting(Actor(user, Scope.SUBMIT, "00000000")):
        yield


def fill(database: Database, user: str, experiment: str, count: int, **job: str) -> list[int]:
    """Waiting jobs of a user."""
    with of(user):
        return insert_many(database, count, experiment=experiment, **job)


def quota(database: Database, user: str, **limits: float | None) -> None:
    with database.begin() as c:
        users.set_quota(c, user, **limits)


def register_gpu(database: Database) -> None:
    """A worker of queue gpu, with one GPU."""
    with database.begin() as c:
        workers.register(c, [Slot(GPU, "gpu@host", "host", 2, 0, "gpu", "gpu 0")])


def found_quotas(database: Database) -> list[users.Quota]:
    with database.read() as c:
        return users.quotas(c)


def test_a_user_never_has_more_in_flight_than_the_quota(database: Database) -> None:
    register(database, 10)
    quota(database, "ana", max_running=3)
    anas = [job_id for name in ("a1", "a2") for job_id in fill(database, "ana", name, 4)]
    bobs = fill(database, "bob", "b", 4)
    sent = {job_id for job_id, _ in dispatch(database, 10)}
    assert len(sent & set(anas)) == 3 and sent >= set(bobs)
    assert dispatch(database, 10) == []
    quota(database, "ana", max_running=5)
    assert len(dispatch(database, 10)) == 2
    quota(database, "ana", max_running=None)
    assert len(dispatch(database, 10)) == 3


def test_many_experiments_of_one_user_leave_the_place_to_others(database: Database) -> None:
    """The experiments of the best rank are all of a user who may have one job more."""
    register(database, 4)
    quota(database, "ana", max_running=1)
    for number in range(6):
        fill(database, "ana", f"a{number}", 1)
    (bobs,) = fill(database, "bob", "b", 1)
    sent = [job_id for job_id, _ in dispatch(database, 2)]
    assert bobs in sent and len(sent) == 2


def test_a_cohort_stays_within_the_quota(database: Database) -> None:
    register(database, 4)
    quota(database, "ana", max_running=3)
    fill(database, "ana", "a", 8, fuse_key="f")
    ((job_id, seq),) = dispatch(database, 1)
    with database.begin() as c:
        leader = leases.claim(c, job_id, seq, "host:1:0", 60.0)
        assert leader is not None
        assert len(reservations.reserve(c, leader, 60.0, 64)) == 2


def test_gpu_hours_stop_jobs_on_gpus_only(database: Database) -> None:
    register_gpu(database)
    register(database, 1)
    quota(database, "ana", gpu_hours=2.0)
    fill(database, "ana", "g", 3, queue="gpu")
    fill(database, "ana", "c", 1)
    for _ in range(2):
        ((job_id, seq),) = dispatch(database, 1, "gpu")
        with database.begin() as c:
            claim = leases.claim(c, job_id, seq, GPU, 60.0)
            assert claim is not None
            commit(c, claim, epoch=1, seconds=1.0)
            moved = {"started_at": attempts.c.started_at - 1.5 * 3600}
            c.execute(sa.update(attempts).where(attempts.c.job_id == job_id).values(moved))
            users.measure(c)
    (found,) = found_quotas(database)
    # Both took the same slot, at the same time: each hour of it counts once.
    assert found.gpu_hours_used == pytest.approx(1.5, abs=0.01)
    assert found.has_gpu_time
    quota(database, "ana", gpu_hours=1.0)
    assert dispatch(database, 1, "gpu") == []
    assert len(dispatch(database, 1)) == 1


def test_why_names_the_quota(database: Database, valkey_url: str) -> None:
    settings = Settings(broker_url=valkey_url)
    register(database, 9)
    quota(database, "ana", max_running=2)
    ids = fill(database, "ana", "a", 4)
    dispatch(database, 9)
    found = explain(database, settings, ids[3])
    assert [reason.kind for reason in found.reasons] == ["quota"]
    assert "user 'ana', who may have 2 jobs in flight and has 2 (quota)" in str(found)
    register_gpu(database)
    quota(database, "bob", gpu_hours=0.0)
    (last,) = fill(database, "bob", "b", 1, queue="gpu")
    found = explain(database, settings, last)
    assert [reason.kind for reason in found.reasons] == ["quota"]
    assert "has used 0.0 of 0 GPU-hours in 30 days (quota)" in str(found)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_to_be_next_is_what_is_dispatched(database: Database, seed: int) -> None:
    choose = random.Random(seed)
    register(database, 3)
    for user in ("ana", "bob", "cleo"):
        if choose.random() < 0.7:
            quota(database, user, max_running=choose.randint(0, 3))
        for number in range(choose.randint(1, 3)):
            fill(database, user, f"{user}{number}", choose.randint(1, 3))
    for _ in range(3):
        limit = choose.randint(1, 4)
        with database.read() as c:
            expected = order(c, "cpu", DispatchCapacity(limit))
        assert [job_id for job_id, _ in dispatch(database, limit)] == expected
        for found in found_quotas(database):
            assert found.max_running is None or found.in_flight <= found.max_running


def test_a_user_with_a_quota_submits_to_experiments_of_their_own(database: Database) -> None:
    fill(database, "bob", "shared", 1)
    quota(database, "ana", max_running=1)
    with pytest.raises(AccessError, match="'shared' is of bob"), acting(Actor("ana")):
        insert_many(database, 2, experiment="shared")
    with database.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one() == 1


def test_a_quota_below_zero_is_refused(database: Database) -> None:
    with pytest.raises(AccessError, match="max_running: -1 is below 0"):
        quota(database, "ana", max_running=-1)


def test_the_metric_of_waiting_jobs_names_the_quota(database: Database) -> None:
    register(database, 10)
    register_gpu(database)
    quota(database, "ana", max_running=1)
    quota(database, "bob", gpu_hours=0.0)
    fill(database, "ana", "a", 3)
    fill(database, "bob", "b", 2, queue="gpu")
    fill(database, "bob", "b2", 4)
    assert waiting(database) == {("cpu", "slot"): 7, ("gpu", "quota"): 2}
    dispatch(database, 1)
    assert waiting(database) == {("cpu", "quota"): 2, ("cpu", "slot"): 4, ("gpu", "quota"): 2}
    quota(database, "bob", gpu_hours=None)
    assert waiting(database)["gpu", "slot"] == 2


def waiting(database: Database) -> dict[tuple[str, str], int]:
    """(queue, reason) -> waiting jobs."""
    with database.read() as c:
        return {key: count for key, (count, _) in gauges.waiting_by_reason(c, 60.0).items()}
