"""The scheduler's loop: a window of messages, lost ones, dead workers, outages, idle cost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.rows import (
    age,
    column,
    commit,
    insert,
    insert_many,
    let_expire,
    new_job,
    register,
    status,
    take,
)
from support.servers import Postgres, Valkey, wait_until
from support.statements import statements

from fitfleet import queue
from fitfleet.db.jobs import experiments
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.session import Database
from fitfleet.errors import BrokerError
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings
from fitfleet.states import JobStatus


@contextmanager
def _running(scheduler: Scheduler) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=scheduler.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        scheduler.wake()
        thread.join(20)
        assert not thread.is_alive()


def _waiting(settings: Settings) -> int:
    return queue.waiting(queue.celery_app(settings), "cpu")


def test_nothing_is_published_while_no_slot_is_free(
    scheduler: Scheduler, settings: Settings, database: Database
) -> None:
    insert_many(database, 30)
    assert scheduler.tick() == 0
    register(database, 2)
    assert scheduler.tick() == 4  # a window of two for each free slot
    assert scheduler.tick() == 0
    assert _waiting(settings) == 4


def test_the_window_moves_as_slots_become_free(
    scheduler: Scheduler, settings: Settings, database: Database, taker: Any
) -> None:
    register(database, 1)
    ids = insert_many(database, 6)
    done = []
    while len(done) < 6:
        scheduler.tick()
        message = taker.pop()
        assert message is not None
        claim = taker.claim(message)
        scheduler.tick()
        assert _waiting(settings) <= 2
        with database.begin() as c:
            assert commit(c, claim, epoch=5, seconds=1.0)
        done.append(message[0])
    assert done == ids
    assert scheduler.tick() == 0


def test_a_cancelled_job_is_not_published_again(
    scheduler: Scheduler, database: Database, taker: Any
) -> None:
    register(database, 1)
    (job_id,) = insert(database, new_job("a"))
    scheduler.tick()
    with database.begin() as c:
        job_table.cancel(c, job_id)
    assert taker.claim(taker.pop()) is None
    assert scheduler.tick() == 0
    assert status(database, job_id) is JobStatus.CANCELLED


def _make_old(database: Database, job_ids: list[int]) -> None:
    with database.begin() as c:
        age(c, job_ids, 100.0)


def _look_again(scheduler: Scheduler) -> int:
    """A tick at which it is time to recover."""
    scheduler._recovered_at = 0.0
    return scheduler.tick()


def test_a_flushed_broker_costs_a_moment(
    scheduler: Scheduler, database: Database, valkey_server: Valkey, taker: Any
) -> None:
    register(database, 2)
    ids = insert_many(database, 3)
    assert scheduler.tick() == 3
    valkey_server.flush()
    assert _look_again(scheduler) == 0  # a moment ago they were published
    _make_old(database, ids)
    assert _look_again(scheduler) == 3
    for _ in ids:
        assert taker.claim(taker.pop()) is not None


def test_a_job_that_waits_behind_others_is_not_published_twice(
    scheduler: Scheduler, settings: Settings, database: Database
) -> None:
    register(database, 1)
    ids = insert_many(database, 2)
    assert scheduler.tick() == 2
    for _ in range(5):
        _make_old(database, ids)
        assert _look_again(scheduler) == 0
    assert _waiting(settings) == 2


def test_a_message_popped_and_lost_is_published_again(
    scheduler: Scheduler, database: Database, taker: Any
) -> None:
    register(database, 1)
    ids = insert_many(database, 1)
    scheduler.tick()
    old = taker.pop()
    _make_old(database, ids)
    assert _look_again(scheduler) == 1
    new = taker.pop()
    assert taker.claim(old) is None
    assert taker.claim(new) is not None


def test_an_expired_lease_is_taken_back_after_a_lease_of_waiting(
    settings: Settings, database: Database
) -> None:
    register(database, 2)
    (job_id,) = insert(database, new_job("a"))
    take(database)
    with database.begin() as c:
        let_expire(c, [job_id])
    patient = Scheduler(settings, database)
    _look_again(patient)
    assert status(database, job_id) is JobStatus.RUNNING
    hasty = Scheduler(settings.replace(lease_s=0.0), database)
    _look_again(hasty)
    assert column(database, job_id, "failure_class") == "lost"
    assert column(database, job_id, "failures") == 1
    assert status(database, job_id) is JobStatus.QUEUED


def test_a_poison_job_ends(settings: Settings, database: Database) -> None:
    register(database, 2)
    (job_id,) = insert(database, new_job("a", max_failures=3))
    scheduler = Scheduler(settings.replace(lease_s=0.0), database)
    for _ in range(3):
        take(database)
        with database.begin() as c:
            let_expire(c, [job_id])
        _look_again(scheduler)
    assert status(database, job_id) is JobStatus.FAILED
    assert take(database) == []


def test_steps_run_and_one_that_fails_stops_nothing(
    scheduler: Scheduler, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Database] = []

    def broken(_database: Database) -> None:
        raise ValueError("of the step")

    scheduler.steps += [broken, seen.append]
    register(database, 1)
    insert_many(database, 1)
    assert _look_again(scheduler) == 1
    assert seen == [database]
    assert "a step of the scheduler failed" in caplog.text


def test_a_broker_that_is_away_keeps_the_jobs(
    open_valkey: Valkey, settings: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    register(database, 2)
    ids = insert_many(database, 2)
    here = settings.replace(broker_url=open_valkey.url)
    scheduler = Scheduler(here, database)
    open_valkey.stop(9)
    with pytest.raises(BrokerError):
        scheduler.tick()
    assert {status(database, job_id) for job_id in ids} == {JobStatus.QUEUED}
    with caplog.at_level(logging.WARNING, "fitfleet"), _running(scheduler):
        wait_until(lambda: "does not answer" in caplog.text, "the outage is said")
        time.sleep(1.2)
        open_valkey.start()
        wait_until(lambda: _waiting(here) == 2, "the jobs are published")
    assert caplog.text.count("does not answer") == 1
    assert "the scheduler continues" in caplog.text


def test_a_broker_stays_away_for_a_scheduler_that_has_nothing_to_publish(
    open_valkey: Valkey, settings: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(settings.replace(broker_url=open_valkey.url), database)
    open_valkey.stop(9)
    with caplog.at_level(logging.WARNING, "fitfleet"), _running(scheduler):
        wait_until(lambda: "does not answer" in caplog.text, "the outage is said")
        time.sleep(2.5)
        assert "the scheduler continues" not in caplog.text
        open_valkey.start()
        wait_until(lambda: "the scheduler continues" in caplog.text, "its end is said")


def test_a_database_that_is_away_is_waited_for(
    tmp_path_factory: pytest.TempPathFactory,
    valkey_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Postgres()
    try:
        server.start()
        database = Database(server.url())
        database.upgrade()
        here = Settings(database_url=server.url(), broker_url=valkey_url)
        scheduler = Scheduler(here, database)
        with caplog.at_level(logging.WARNING, "fitfleet"), _running(scheduler):
            server.stop()
            wait_until(lambda: "see `fitfleet doctor`" in caplog.text, "the outage is said")
            server.start()
            register(database, 1)
            insert_many(database, 1)
            wait_until(lambda: _waiting(here) == 1, "the job is published")
        assert server.password not in caplog.text
        database.dispose()
    finally:
        server.remove()


def test_several_schedulers_publish_each_job_once(
    settings: Settings, database: Database, taker: Any
) -> None:
    register(database, 10)
    ids = insert_many(database, 40)
    with database.begin() as c:
        experiments.limit_running(c, "digits", None)
    with _running(Scheduler(settings, database)), _running(Scheduler(settings, database)):
        seen: list[int] = []
        deadline = time.monotonic() + 60
        while len(seen) < 40 and time.monotonic() < deadline:
            message = taker.pop()
            if message is None:
                time.sleep(0.005)
                continue
            claim = taker.claim(message)
            assert claim is not None
            with database.begin() as c:
                commit(c, claim, epoch=5, seconds=0.1)
            seen.append(message[0])
    assert sorted(seen) == ids
    assert taker.pop() is None


def _statements(database: Database, scheduler: Scheduler, ticks: int) -> int:
    """How many the database is asked in so many ticks between two recoveries."""
    scheduler.tick()
    scheduler._recovered_at = time.monotonic() + 60.0
    with statements(database) as asked:
        for _ in range(ticks):
            assert scheduler.tick() == 0
    return sum(not statement.startswith("BEGIN") for statement in asked)


def test_an_idle_poll_is_one_statement(scheduler: Scheduler, database: Database) -> None:
    """With nothing to do, and with jobs that wait behind busy slots."""
    assert _statements(database, scheduler, 10) == 10
    register(database, 1)
    insert_many(database, 200)
    take(database)
    assert _statements(database, scheduler, 10) == 10


def test_jobs_that_must_not_start_are_not_polled_all_the_time(
    scheduler: Scheduler, database: Database
) -> None:
    register(database, 1)
    insert_many(database, 20)
    with database.begin() as c:
        experiments.pause(c, "digits")
    assert _statements(database, scheduler, 10) < 40  # all the time, it would be 80
    with database.begin() as c:
        experiments.resume(c, "digits")
    scheduler.wake()
    assert scheduler.tick() == 2


def test_a_woken_scheduler_polls_at_once(settings: Settings, database: Database) -> None:
    scheduler = Scheduler(settings.replace(poll_s=30.0), database)
    register(database, 1)
    with _running(scheduler):
        time.sleep(0.3)
        insert_many(database, 1)
        scheduler.wake()
        wait_until(lambda: _waiting(settings) == 1, "the job is published", 20.0)
