"""Which waiting jobs go first, and which must not go."""

from __future__ import annotations

import multiprocessing

import pytest
import sqlalchemy as sa
from support.rows import (
    age,
    column,
    commit,
    dispatch,
    insert,
    insert_many,
    new_job,
    register,
    status,
    take,
)

from fitfleet.db.attempts import ends, leases
from fitfleet.db.fleet import capacity, workers
from fitfleet.db.jobs import experiments
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.jobs.priority import set_priority
from fitfleet.db.scheduling import dispatch as dispatch_table
from fitfleet.db.scheduling import reservations
from fitfleet.db.schema.tables import experiments as experiment_table
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError
from fitfleet.states import FailureClass, JobStatus, Request


def _ids(messages: list[tuple[int, int]]) -> list[int]:
    return [job_id for job_id, _ in messages]


def test_age_decides_between_equals(database: Database) -> None:
    ids = insert_many(database, 5)
    assert _ids(dispatch(database, 3)) == ids[:3]
    assert _ids(dispatch(database, 9)) == ids[3:]
    assert dispatch(database, 9) == []
    assert dispatch(database, 0) == []


def test_priority_comes_first(database: Database) -> None:
    low, high, middle = insert(
        database, new_job("l"), new_job("h", priority=9), new_job("m", priority=1, experiment="e")
    )
    assert _ids(dispatch(database, 3)) == [high, middle, low]


def test_experiments_take_turns(database: Database) -> None:
    large = insert_many(database, 6, experiment="large")
    small = insert_many(database, 2, experiment="small")
    assert _ids(dispatch(database, 5)) == [large[0], small[0], large[1], small[1], large[2]]


def test_equal_experiments_are_served_in_turn_however_few_slots_there_are(
    database: Database,
) -> None:
    """Six equal experiments on one slot: all are served before one is served again."""
    for name in "abcdef":
        insert_many(database, 3, experiment=name)
    ends: list[str] = []
    for _ in range(12):
        (claim,) = take(database, 1)
        ends.append(claim.experiment)
        with database.begin() as c:
            commit(c, claim, epoch=1, seconds=1.0)
    assert ends[:6] == list("abcdef")
    assert sorted(ends[6:]) == list("abcdef")


def test_an_experiment_behind_many_others_is_reached_by_its_priority(database: Database) -> None:
    """Only the best experiments are looked into, and the best one is always among them."""
    for number in range(20):
        insert(database, new_job("x", experiment=f"e{number}"))
    insert(database, new_job("urgent", experiment="last", priority=5))
    assert [c.experiment for c in take(database, 1)] == ["last"]


def test_the_experiment_with_fewer_in_flight_goes_first(database: Database) -> None:
    large = insert_many(database, 4, experiment="large")
    take(database, 2)
    small = insert_many(database, 3, experiment="small")
    assert _ids(dispatch(database, 3)) == [*small[:2], large[2]]


def test_a_queue_gets_its_own(database: Database) -> None:
    cpu, gpu = insert(database, new_job("a"), new_job("b", queue="gpu"))
    assert _ids(dispatch(database, 5, queue="gpu")) == [gpu]
    assert _ids(dispatch(database, 5)) == [cpu]


def test_an_experiment_stays_within_its_limit(database: Database) -> None:
    ids = insert_many(database, 5)
    with database.begin() as c:
        experiments.limit_running(c, "digits", 2)
    claims = take(database, 5)
    assert [claim.job_id for claim in claims] == ids[:2]
    assert dispatch(database, 5) == []
    with database.begin() as c:
        ends.release(c, claims[1], seconds=0.0)
        experiments.limit_running(c, "digits", None)
    assert len(dispatch(database, 9)) == 4


def test_a_paused_experiment_waits_and_is_given_back(database: Database) -> None:
    running, _, waiting = insert_many(database, 3)
    (claim,) = take(database)
    (message,) = dispatch(database, 1)
    with database.begin() as c:
        experiments.pause(c, "digits")
        assert leases.claim(c, *message, "w", 60.0) is None
        assert leases.heartbeat(c, [claim], 60.0) == {(running, 1): Request.RELEASE}
        ends.release(c, claim, seconds=0.0)
    assert dispatch(database, 5) == []
    assert status(database, waiting) is JobStatus.QUEUED
    with database.begin() as c:
        experiments.resume(c, "digits")
        with pytest.raises(NotFoundError, match="no experiment 'other'"):
            experiments.pause(c, "other")
    assert len(dispatch(database, 5)) == 3


def test_a_job_in_backoff_waits(database: Database) -> None:
    (job_id,) = insert(database, new_job("a"))
    (claim,) = take(database)
    with database.begin() as c:
        ends.fail(c, claim, FailureClass.LOST, "gone", backoff_s=50.0)
    assert dispatch(database, 1) == []
    with database.begin() as c:
        age(c, [job_id], 60.0)
    assert _ids(dispatch(database, 1)) == [job_id]


def test_cohort_peers_are_waiting_jobs_of_one_program(database: Database) -> None:
    rows = [
        new_job("lead", fuse_key="k"),
        new_job("dispatched", fuse_key="k"),
        new_job("queued", fuse_key="k"),
        new_job("urgent", fuse_key="k", priority=-1),
        new_job("other key", fuse_key="l"),
        new_job("other queue", fuse_key="k", queue="gpu"),
        new_job("other experiment", fuse_key="k", experiment="e"),
        new_job("no key"),
    ]
    ids = insert(database, *rows)
    (leader,) = take(database)
    with database.begin() as c:
        dispatch_table.dispatch(c, "cpu", 1)
        peers = reservations.reserve(c, leader, 60.0, 2)
    assert [peer.job_id for peer in peers] == ids[1:3]
    assert {peer.worker for peer in peers} == {leader.worker}
    with database.begin() as c:
        assert [m.job_id for m in reservations.reserve(c, leader, 60.0, 9)] == [ids[3]]
        assert reservations.reserve(c, leader, 60.0, 9) == []
        assert reservations.reserve(c, leader, 60.0, 0) == []


def test_cohort_peers_obey_pause_limit_and_backoff(database: Database) -> None:
    insert_many(database, 6, fuse_key="k")
    with database.begin() as c:
        experiments.limit_running(c, "digits", 4)
    leader, failed = take(database, 2)
    dispatch(database, 1)
    with database.begin() as c:
        ends.fail(c, failed, FailureClass.LOST, "gone", backoff_s=50.0)
        peers = reservations.reserve(c, leader, 60.0, 9)
    # One dispatched that counts already, and two more up to the limit of four.
    assert len(peers) == 3
    assert failed.job_id not in [peer.job_id for peer in peers]
    with database.begin() as c:
        assert reservations.hand_back(c, peers) == {peer.key for peer in peers}
        experiments.pause(c, "digits")
        assert reservations.reserve(c, leader, 60.0, 9) == []


def test_a_job_that_has_failed_has_no_cohort_peers_and_is_none(database: Database) -> None:
    """It may be what kills its workers, and would count a failure for each of the others."""
    insert_many(database, 4, fuse_key="k")
    poison, innocent = take(database, 2)
    with database.begin() as c:
        ends.fail(c, poison, FailureClass.LOST, "gone", backoff_s=0.0)
        peers = reservations.reserve(c, innocent, 60.0, 9)
    assert len(peers) == 2
    assert poison.job_id not in [peer.job_id for peer in peers]
    with database.begin() as c:
        ends.release(c, innocent, seconds=0.0)
        reservations.hand_back(c, peers)
    (again,) = take(database, 1)
    assert (again.job_id, again.failures) == (poison.job_id, 1)
    with database.begin() as c:
        assert reservations.reserve(c, again, 60.0, 9) == []


def test_a_queue_is_as_large_as_its_live_slots(database: Database) -> None:
    register(database, 3)
    register(database, 2, service="gone@host", pid=2)
    register(database, 2, service="full@host", pid=3, queue="gpu")
    with database.begin() as c:
        workers.end(c, "gone@host")
        workers.drain(c, "full@host")
    insert_many(database, 4, fuse_key="k")
    (leader,) = take(database, worker="host:1:0")
    dispatch(database, 1)
    with database.begin() as c:
        reservations.reserve(c, leader, 60.0, 1)
        dispatch_more = dispatch_table.dispatch(c, "cpu", 1)
        (load,) = capacity.loads(c, 60.0)
    assert len(dispatch_more) == 1
    # A cohort of two fills one slot.
    assert (load.queue, load.slots, load.running, load.free) == ("cpu", 3, 1, 2)
    with database.read() as c:
        assert capacity.loads(c, -1.0) == []


def test_a_service_that_starts_again_is_not_drained(database: Database) -> None:
    register(database, 1, pid=1)
    with database.begin() as c:
        assert workers.drain(c, "host:1:0") == ["fleet@host"]
        assert workers.heartbeat(c, "fleet@host") is True
    register(database, 1, pid=2)
    with database.begin() as c:
        assert workers.heartbeat(c, "fleet@host") is False
        assert [row["pid"] for row in workers.live(c, 60.0)] == [2]
        workers.end(c, "fleet@host")
        with pytest.raises(NotFoundError, match="no live worker"):
            workers.drain(c, "fleet@host")


def _dispatch_all(url: str, results: multiprocessing.Queue[list[int]]) -> None:
    database = Database(url)
    sent: list[int] = []
    for _ in range(30):
        sent += _ids(dispatch(database, 3))
    results.put(sent)
    database.dispose()


def test_several_schedulers_place_each_job_once_and_keep_the_limit(database_url: str) -> None:
    database = Database(database_url)
    ids = insert_many(database, 60)
    limited = insert_many(database, 20, experiment="limited")
    with database.begin() as c:
        experiments.limit_running(c, "limited", 7)
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[int]] = context.Queue()
    processes = [context.Process(target=_dispatch_all, args=(database_url, results)) for _ in "abc"]
    for process in processes:
        process.start()
    sent = [job_id for _ in processes for job_id in results.get(timeout=60)]
    for process in processes:
        process.join()
    database.dispose()
    assert sorted(sent) == sorted([*ids, *limited[:7]])


def _fill(database: Database, count: int) -> None:
    """So many queued jobs in 20 experiments, written at once."""
    with database.begin() as c:
        at = c.execute(sa.select(sa.literal(0.0))).scalar_one()
        c.execute(
            experiment_table.insert(),
            [{"name": f"e{i}", "created_at": at} for i in range(20)],
        )
        ids = list(c.scalars(sa.select(experiment_table.c.id)))
        row = {
            "group_hash": "g",
            "seed": 0,
            "queue": "cpu",
            "status": JobStatus.QUEUED,
            "submitted_at": 0.0,
            "epochs": 1,
            "max_failures": 3,
        }
        for start in range(0, count, 5000):
            c.execute(
                jobs.insert(),
                [
                    {**row, "experiment_id": ids[i % 20], "content_hash": str(i), "priority": i % 3}
                    for i in range(start, min(start + 5000, count))
                ],
            )


def _plan(database: Database, query: str) -> str:
    with database.read() as c:
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        return "\n".join(str(tuple(row)) for row in c.exec_driver_sql(explain + query))


def test_the_first_waiting_jobs_come_from_an_index_in_order(database: Database) -> None:
    _fill(database, 5_000)
    plan = _plan(
        database,
        "SELECT priority, id FROM jobs WHERE status = 'QUEUED' AND queue = 'cpu'"
        " AND experiment_id = (SELECT MIN(id) FROM experiments) AND requirement_id = 0"
        " AND not_before <= 5"
        " ORDER BY priority DESC, id LIMIT 20",
    )
    assert "ix_jobs_waiting" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_pausing_requests_only_jobs_of_the_experiment(database: Database) -> None:
    (mine,) = insert(database, new_job("a"))
    (other,) = insert(database, new_job("a", experiment="other"))
    take(database, 2)
    with database.begin() as c:
        experiments.pause(c, "other")
        job_table.request(c, mine, Request.PRUNE)
    assert column(database, other, "request") == Request.RELEASE
    assert column(database, mine, "request") == Request.PRUNE


def test_a_waiting_job_can_be_moved_to_the_front(database: Database) -> None:
    first, second, third = insert_many(database, 3)
    assert _ids(dispatch(database, 1)) == [first]
    with database.begin() as c:
        assert set_priority(c, third, 5)
        assert set_priority(c, first, -1)  # it lay in the broker
    assert _ids(dispatch(database, 3)) == [third, second, first]
    with database.begin() as c:
        job_table.cancel(c, second)
        assert not set_priority(c, second, 9)
        with pytest.raises(NotFoundError):
            set_priority(c, 10**9, 1)
