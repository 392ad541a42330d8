"""Jobs that ask for labels go only to slots that have them, and say what they miss."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from support.parts import sampled
from support.rows import column, commit, insert, new_job, status
from support.servers import Valkey

from fitfleet.db.attempts import leases
from fitfleet.db.attempts.leases import Claim
from fitfleet.db.fleet import capacity, workers
from fitfleet.db.fleet.dispatch_capacity import capacity_now
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.reading import gauges
from fitfleet.db.scheduling import dispatch, reservations
from fitfleet.db.session import Database
from fitfleet.scheduler.explain import Explanation, explain
from fitfleet.scheduler.recover import redispatch
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings
from fitfleet.spec.requirements import route_of
from fitfleet.states import JobStatus

A, B = {"zone": "a", "memory": "8GB"}, {"zone": "b", "gpu": "NVIDIA H100 PCIe", "memory": "64GB"}
LABELS = {"a": A, "b": B}


def _serve(database: Database, name: str, labels: Mapping[str, str], count: int = 1) -> None:
    slots = [
        Slot(f"{name}:1:{i}", name, name, 1, i, "cpu", "cpu", labels=labels) for i in range(count)
    ]
    with database.begin() as c:
        workers.register(c, slots)


def _send(database: Database, window: int = 2) -> list[dispatch.Message]:
    """What the dispatcher does in a poll."""
    with database.begin() as c:
        (load,) = capacity.loads(c, 60.0)
        return dispatch.dispatch_to(c, "cpu", capacity_now(c, load, window))


def _claim(database: Database, message: dispatch.Message, worker: str) -> Claim:
    with database.begin() as c:
        claim = leases.claim(c, *message[:2], worker, 3600.0)
    assert claim is not None
    return claim


def _kinds(explanation: Explanation) -> list[str]:
    return [reason.kind for reason in explanation.reasons]


def test_a_message_goes_to_the_slots_that_fit(database: Database) -> None:
    _serve(database, "a", A)
    _serve(database, "b", B)
    ids = insert(
        database,
        new_job("1", requires={"zone": "b"}),
        new_job("2", requires={"zone": "a"}),
        new_job("3"),
        new_job("4", requires={"gpu": "H100"}, memory="60GB"),
    )
    routes = {message.job_id: message.route for message in _send(database)}
    of_a, of_b = route_of("cpu", A), route_of("cpu", B)
    assert routes == dict(zip(ids, (of_b, of_a, "", of_b), strict=True))
    assert [column(database, job_id, "sent_to") for job_id in ids] == [of_b, of_a, None, of_b]


def test_what_fits_nowhere_waits_and_holds_up_nobody(database: Database) -> None:
    _serve(database, "a", A)
    unfit = insert(
        database,
        *(new_job(f"{i}", requires={"gpu": "H100"}, priority=9) for i in range(30)),
    )
    (plain,) = insert(database, new_job("plain", experiment="other"))
    assert [message.job_id for message in _send(database)] == [plain]
    assert {status(database, job_id) for job_id in unfit} == {JobStatus.QUEUED}
    with database.read() as c:
        counts = {reason: n for reason, (n, _) in gauges.waiting_by_reason(c, 60.0).items()}
    assert counts == {("cpu", "labels"): 30}
    _serve(database, "b", B)
    assert [message.job_id for message in _send(database)] == unfit[:2]


def test_messages_for_busy_slots_take_no_room_from_others(database: Database) -> None:
    _serve(database, "b", B, 3)
    insert(database, *(new_job(f"{i}", requires={"zone": "b"}) for i in range(12)))
    messages = _send(database)
    assert len(messages) == 6
    for i, message in enumerate(messages[:3]):
        _claim(database, message, f"b:1:{i}")
    _serve(database, "a", A)
    plain = insert(database, *(new_job(f"p{i}", experiment="other") for i in range(3)))
    assert [message.job_id for message in _send(database)] == plain[:2]


def test_an_experiment_of_two_lines_has_one_share(database: Database) -> None:
    """Its lines do not take turns as if they were two experiments."""
    _serve(database, "a", A, 4)
    one = insert(
        database,
        *(new_job(f"{i}", requires={"zone": "a"} if i % 2 else {}) for i in range(8)),
    )
    two = insert(database, *(new_job(f"t{i}", experiment="two") for i in range(8)))
    sent = [message.job_id for message in _send(database)]
    assert sent == [job_id for pair in zip(one[:4], two[:4], strict=True) for job_id in pair]


def test_a_cohort_holds_only_what_asks_the_same(database: Database) -> None:
    _serve(database, "b", B)
    rows = [new_job(f"{i}", fuse_key="k", requires={"zone": "ab"[i % 2]}) for i in range(6)]
    ids = insert(database, *rows)
    message = _send(database, window=1)[0]
    leader = _claim(database, message, "b:1:0")
    with database.begin() as c:
        peers = reservations.reserve(c, leader, 60.0, 9)
    assert [peer.job_id for peer in peers] == ids[3::2]


def test_a_cohort_stays_where_it_fits_while_other_slots_are_free(database: Database) -> None:
    _serve(database, "b", B)
    insert(database, *(new_job(f"{i}", fuse_key="k", requires={"zone": "b"}) for i in range(5)))
    leader = _claim(database, _send(database, window=1)[0], "b:1:0")
    with database.begin() as c:
        peers = reservations.reserve(c, leader, 60.0, 9)
    _serve(database, "a", A, 3)
    insert(database, new_job("urgent", requires={"zone": "a"}, priority=9))
    with database.read() as c:
        assert reservations.surplus(c, "cpu", peers, 5, 60.0) == []
    insert(database, new_job("near", requires={"gpu": "H100"}, priority=9))
    with database.read() as c:
        assert reservations.surplus(c, "cpu", peers, 5, 60.0) == peers
    _serve(database, "b2", B, 1)
    with database.read() as c:  # that one is served by the slot that has come
        assert reservations.surplus(c, "cpu", peers, 5, 60.0) == []


def test_a_route_that_nobody_reads_any_more_gives_its_jobs_back(
    database: Database, settings: Settings, scheduler: Scheduler
) -> None:
    _serve(database, "b", B)
    (job_id,) = insert(database, new_job("1", requires={"zone": "b"}))
    assert scheduler.tick() == 1
    now = settings.replace(redispatch_s=-1.0)
    assert redispatch(database, scheduler._app, now) == []  # its message lies in the route
    with database.begin() as c:
        workers.end(c, "b")
    assert redispatch(database, scheduler._app, now) == [job_id]
    assert status(database, job_id) is JobStatus.QUEUED
    assert scheduler.tick() == 0
    _serve(database, "other", {**B, "rack": "7"})
    scheduler.wake()
    assert scheduler.tick() == 1


def test_a_lost_message_of_a_route_is_published_again(
    database: Database, settings: Settings, scheduler: Scheduler, valkey_server: Valkey
) -> None:
    _serve(database, "b", B)
    (job_id,) = insert(database, new_job("1", requires={"zone": "b"}))
    assert scheduler.tick() == 1
    valkey_server.flush()
    assert redispatch(database, scheduler._app, settings.replace(redispatch_s=-1.0)) == [job_id]


def test_the_missing_label_is_reported_with_those_there_are(
    database: Database, settings: Settings
) -> None:
    _serve(database, "a", A)
    _serve(database, "b", B)
    alone, both, large = insert(
        database,
        new_job("1", requires={"zone": "c"}),
        new_job("2", requires={"zone": "a", "gpu": "H100"}),
        new_job("3", memory="65GB"),
    )
    said = explain(database, settings, alone)
    assert _kinds(said) == ["labels"] and said.is_held and said.starts_in_s is None
    assert "needs zone=c, which no worker of queue 'cpu' has; there are gpu=NVIDIA" in str(said)
    assert "zone=a, zone=b; start one with: fitfleet worker --queue cpu --label zone=c" in str(said)
    assert "gpu=H100 and zone=a, which no worker of queue 'cpu' has together" in str(
        explain(database, settings, both)
    )
    assert "memory=65GB, which no" in str(explain(database, settings, large))


def test_busy_slots_are_those_that_fit(database: Database, settings: Settings) -> None:
    _serve(database, "a", A, 3)
    _serve(database, "b", B)
    ids = insert(database, *(new_job(f"{i}", requires={"zone": "b"}) for i in range(4)))
    claim = _claim(database, _send(database)[0], "b:1:0")
    said = explain(database, settings, ids[3])
    assert _kinds(said) == ["busy", "line"] and (said.place, said.before) == (2, (ids[2],))
    assert "the slot of queue 'cpu' with zone=b is taken" in str(said)
    with database.begin() as c:
        commit(c, claim, epoch=5, seconds=10.0)
    assert explain(database, settings, ids[3]).starts_in_s == pytest.approx(10.0, abs=1.0)


@pytest.mark.parametrize("seed", sampled("01234567", "2", "5"))
def test_the_dispatcher_does_what_was_said_of_labelled_jobs(
    database: Database, settings: Settings, scheduler: Scheduler, seed: str
) -> None:
    choose = random.Random(seed)
    for name in choose.sample(["a", "b"], choose.randint(1, 2)):
        _serve(database, name, LABELS[name], choose.randint(1, 3))
    asked = [{}, {"zone": "a"}, {"zone": "b"}, {"gpu": "H100"}, {"zone": "c"}]
    ids = insert(
        database,
        *(
            new_job(
                f"{i}",
                experiment=choose.choice(["one", "two", "three"]),
                priority=choose.choice([0, 0, 5]),
                requires=choose.choice(asked),
            )
            for i in range(choose.randint(6, 20))
        ),
    )
    for message in _send(database, window=1)[: choose.randint(0, 3)]:
        owner = next(
            (name for name in LABELS if message.route == route_of("cpu", LABELS[name])), "a"
        )
        _claim(database, message, f"{owner}:1:0")
    waiting = [i for i in ids if status(database, i) is JobStatus.QUEUED]
    said = {i: explain(database, settings, i) for i in waiting}
    expected = sorted(i for i in waiting if "next" in _kinds(said[i]))
    assert all(said[i].is_held for i in waiting if i not in expected)
    assert scheduler.tick() == len(expected)
    assert sorted(i for i in waiting if status(database, i) is JobStatus.DISPATCHED) == expected
