"""Why a job waits: each reason, their order, and that the dispatcher does what was said."""

from __future__ import annotations

import random

import pytest
from support.parts import sampled
from support.rows import commit, insert, insert_many, new_job, register, status, take
from support.servers import Valkey

from fitfleet.db.attempts import ends
from fitfleet.db.fleet import workers
from fitfleet.db.jobs import experiments
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError
from fitfleet.scheduler.explain import Explanation, explain
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings
from fitfleet.states import FailureClass, JobStatus


def _kinds(explained: Explanation) -> list[str]:
    return [reason.kind for reason in explained.reasons]


def _pause(database: Database, name: str) -> None:
    with database.begin() as c:
        experiments.pause(c, name)


def test_without_a_worker_that_comes_first(database: Database, settings: Settings) -> None:
    register(database, 1, queue="gpu")
    (job_id,) = insert(database, new_job("a"))
    _pause(database, "digits")
    explained = explain(database, settings, job_id)
    assert _kinds(explained) == ["no_worker", "paused"]
    assert "there are workers of gpu" in str(explained)
    assert explained.is_held and explained.starts_in_s is None


def test_a_draining_worker_is_none(database: Database, settings: Settings) -> None:
    register(database, 2)
    (job_id,) = insert(database, new_job("a"))
    with database.begin() as c:
        workers.drain(c, "fleet@host")
    assert "all workers of queue 'cpu' are draining" in str(explain(database, settings, job_id))


def test_busy_slots_the_place_and_who_is_before_it(database: Database, settings: Settings) -> None:
    register(database, 1)
    ids = insert_many(database, 6)
    take(database, 1)
    explained = explain(database, settings, ids[5])
    assert _kinds(explained) == ["busy", "line"]
    assert (explained.place, explained.before) == (5, tuple(ids[1:4]))


def test_the_next_job_says_so(database: Database, settings: Settings) -> None:
    register(database, 1)
    ids = insert_many(database, 3)
    assert _kinds(explain(database, settings, ids[1])) == ["next"]
    assert _kinds(explain(database, settings, ids[2])) == ["line"]  # the window is two


def test_explain_names_a_limit_and_a_backoff(database: Database, settings: Settings) -> None:
    register(database, 4)
    ids = insert_many(database, 3)
    with database.begin() as c:
        experiments.limit_running(c, "digits", 1)
    (claim,) = take(database, 1)
    assert _kinds(explain(database, settings, ids[2])) == ["max_running"]
    with database.begin() as c:
        ends.fail(c, claim, FailureClass.LOST, "gone", backoff_s=50.0)
    explained = explain(database, settings, ids[0])
    assert _kinds(explained) == ["backoff"]
    assert "ended as lost (1 of 3 failures)" in str(explained)


def test_explain_names_an_unreachable_broker(
    database: Database, settings: Settings, open_valkey: Valkey
) -> None:
    register(database, 1)
    (job_id,) = insert(database, new_job("a"))
    gone = settings.replace(broker_url=open_valkey.url)
    open_valkey.stop()
    assert _kinds(explain(database, gone, job_id)) == ["broker"]


def test_a_database_that_is_away_is_a_reason(settings: Settings) -> None:
    away = Database("postgresql://nobody:x@127.0.0.1:1/none")
    explained = explain(away, settings, 1)
    assert _kinds(explained) == ["database"] and explained.status is None


def test_a_job_that_is_not_there(database: Database, settings: Settings) -> None:
    with pytest.raises(NotFoundError, match="no job 7"):
        explain(database, settings, 7)


def test_the_start_follows_from_measured_times(database: Database, settings: Settings) -> None:
    register(database, 1)
    ids = insert_many(database, 5)
    (claim,) = take(database, 1)
    assert explain(database, settings, ids[4]).starts_in_s is None
    with database.begin() as c:
        commit(c, claim, epoch=5, seconds=10.0)
    take(database, 1)
    explained = explain(database, settings, ids[4])
    # One runs and two go first, ten seconds each.
    assert explained.starts_in_s == pytest.approx(30.0, abs=1.0)
    assert "it should start in about 30 s" in str(explained)


@pytest.mark.parametrize("seed", sampled("012345", "3", "5"))
def test_the_dispatcher_then_does_what_was_said(
    database: Database, settings: Settings, scheduler: Scheduler, seed: str
) -> None:
    choose = random.Random(seed)
    if choose.random() < 0.9:
        register(database, choose.randint(1, 4))
    names = ["one", "two", "three"]
    ids = insert(
        database,
        *(
            new_job(f"{i}", experiment=names[i % 3], priority=choose.choice([0, 0, 5]))
            for i in range(choose.randint(4, 14))
        ),
    )
    claims = take(database, choose.randint(0, 3))
    with database.begin() as c:
        for claim in claims[:1]:
            ends.fail(c, claim, FailureClass.LOST, "gone", backoff_s=50.0)
        if choose.random() < 0.5:
            experiments.limit_running(c, "two", choose.randint(1, 3))
    if choose.random() < 0.4:
        _pause(database, names[0])
    waiting = [i for i in ids if status(database, i) is JobStatus.QUEUED]
    said = {i: explain(database, settings, i) for i in waiting}
    expected = sorted((i for i in waiting if "next" in _kinds(said[i])),
                      key=lambda i: said[i].place or 0)  # fmt: skip
    assert all(said[i].is_held for i in waiting if i not in expected)
    sent = scheduler.tick()
    moved = [i for i in waiting if status(database, i) is JobStatus.DISPATCHED]
    assert (sent, sorted(moved)) == (len(expected), sorted(expected))
