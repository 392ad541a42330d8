"""Jobs on several GPUs: slots kept together, no deadlock, no starvation, short jobs meanwhile."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from support.rows import column, commit, insert, new_job, status, take

from fitfleet.db.accounts import users
from fitfleet.db.attempts import ends, leases
from fitfleet.db.attempts.claims import Claim
from fitfleet.db.fleet import capacity, gang_slot_state, gangs, workers
from fitfleet.db.fleet.dispatch_capacity import capacity_now
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.scheduling import backfill, dispatch, recovery, reservations
from fitfleet.db.scheduling.dispatch import Message
from fitfleet.db.schema.tables import attempts, experiments, jobs
from fitfleet.db.session import Database
from fitfleet.scheduler.explain import Explanation, explain
from fitfleet.settings import Settings
from fitfleet.spec.requirements import service_route
from fitfleet.states import FailureClass, JobStatus

ALIVE_S = 60.0


def _serve(database: Database, name: str, gpus: int, slots: int | None = None) -> list[str]:
    """A service with so many GPUs; its slots."""
    labels = {"gpu": "H100", "gpu_memory": "80GB", "memory": "8GB"}
    labels |= {"gpus": str(gpus)} if gpus > 1 else {}
    rows = [
        Slot(f"{name}:1:{i}", name, name, 1, i, "cpu", f"gpu {name}-{i % gpus}", labels=labels)
        for i in range(slots or gpus)
    ]
    with database.begin() as c:
        workers.register(c, rows)
    return [slot.id for slot in rows]


def _send(database: Database, window: int = 1) -> list[Message]:
    with database.begin() as c:
        (load,) = capacity.loads(c, ALIVE_S)
        return dispatch.dispatch_to(c, "cpu", capacity_now(c, load, window, ALIVE_S))


def _ready(database: Database, *slots: str) -> list[gang_slot_state.Kept | None]:
    """What fresh children of the slots find."""
    found = []
    for slot in slots:
        with database.begin() as c:
            found.append(gang_slot_state.mark_ready(c, slot))
    return found


def _begin(database: Database, slot: str, job_id: int) -> Claim | None:
    with database.begin() as c:
        return reservations.begin_kept(c, slot, job_id, ALIVE_S)


def _run(database: Database, content: str, slot: str, **options: object) -> Claim:
    """A job that runs on a slot."""
    insert(database, new_job(content, **options))  # type: ignore[arg-type]
    (claim,) = take(database, worker=slot)
    return claim


def _let_epoch_pass(database: Database, claim: Claim, took_s: float) -> None:
    """The first of the five epochs of an attempt took so long."""
    with database.begin() as c:
        c.execute(update(jobs).where(jobs.c.id == claim.job_id).values(epoch=1))
        values = {"first_epoch": 0, "started_at": attempts.c.started_at - took_s}
        c.execute(update(attempts).where(attempts.c.job_id == claim.job_id).values(values))


def test_both_gpus_are_kept_at_once_and_the_job_begins_when_both_are_ready(
    database: Database,
) -> None:
    a, b = _serve(database, "h", 2)
    (job_id,) = insert(database, new_job("two", gpus=2))
    (message,) = _send(database)
    assert message[:2] + message[2:] == (job_id, 1, service_route("cpu", "h"), 2)
    assert _ready(database, a)[0] == gang_slot_state.Kept(
        job_id, False, True, False, ("gpu h-0", "gpu h-1")
    )
    assert _begin(database, a, job_id) is None  # the other one may still have a fit
    (found,) = _ready(database, b)
    assert found is not None and found.is_complete and not found.is_first
    assert _begin(database, b, job_id) is None  # not this slot's
    claim = _begin(database, a, job_id)
    assert claim is not None and (claim.attempt, claim.worker) == (1, a)
    assert _begin(database, a, job_id) is None
    assert _ready(database, b) == [
        gang_slot_state.Kept(job_id, True, False, True, ("gpu h-0", "gpu h-1"))
    ]
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0)
    assert _ready(database, a, b) == [None, None]


def test_slots_that_are_kept_are_not_free_and_take_no_other_jobs(database: Database) -> None:
    a, b = _serve(database, "h", 2)
    (gang,) = insert(database, new_job("two", gpus=2))
    _send(database)
    (other,) = insert(database, new_job("one"))
    with database.read() as c:
        (load,) = capacity.loads(c, ALIVE_S)
    assert load.free == 0
    assert _send(database) == []
    with database.begin() as c:  # its message was there already
        (message,) = dispatch.dispatch(c, "cpu", 1)
        assert gang_slot_state.requeue_message(c, message, b)
        assert leases.claim(c, *message, b, ALIVE_S) is None
    assert status(database, other) is JobStatus.QUEUED
    with database.begin() as c:  # what wakes the slots does nothing to the job itself
        assert gang_slot_state.requeue_message(c, (gang, 0), a)
    assert status(database, gang) is JobStatus.DISPATCHED


def test_two_jobs_of_all_gpus_run_one_after_the_other(database: Database) -> None:
    """Each of two that waited for what the other has would wait for ever."""
    a, b = _serve(database, "h", 2)
    first, second = insert(database, new_job("1", gpus=2), new_job("2", gpus=2))
    assert [message.job_id for message in _send(database, 4)] == [first]
    assert _send(database, 4) == []
    _ready(database, a, b)
    claim = _begin(database, a, first)
    assert claim is not None
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0)
    assert [message.job_id for message in _send(database, 4)] == [second]


def test_two_services_take_one_each(database: Database) -> None:
    _serve(database, "g", 2)
    _serve(database, "h", 2)
    ids = insert(database, *(new_job(str(i), gpus=2) for i in range(3)))
    sent = _send(database, 4)
    assert [message.job_id for message in sent] == ids[:2]
    assert {message.route for message in sent} == {service_route("cpu", n) for n in "gh"}


def test_small_jobs_do_not_starve_a_large_one(database: Database) -> None:
    """Its GPUs are kept from its turn on, though one of them is busy; what came later waits."""
    a, b = _serve(database, "h", 2)
    running = _run(database, "small", a)
    (gang,) = insert(database, new_job("two", gpus=2))
    insert(database, *(new_job(f"later {i}") for i in range(5)))
    assert [message.job_id for message in _send(database)] == [gang]
    assert _send(database) == []
    (found,) = _ready(database, b)
    assert found is not None and not found.is_complete
    with database.begin() as c:
        assert commit(c, running, epoch=5, seconds=1.0)
    assert _send(database) == []
    _ready(database, a)
    assert _begin(database, column(database, gang, "owner"), gang) is not None


def test_the_gpus_that_are_free_first_are_kept_and_the_third_continues(database: Database) -> None:
    a, b, third = _serve(database, "h", 3)
    _run(database, "small", a)
    (gang,) = insert(database, new_job("two", gpus=2))
    (message, *_) = _send(database)
    assert message.job_id == gang
    with database.read() as c:
        assert [gang_slot_state.is_kept(c, slot) for slot in (a, b, third)] == [False, True, True]


def test_all_slots_on_a_gpu_are_kept(database: Database) -> None:
    slots = _serve(database, "h", 2, slots=4)
    (gang,) = insert(database, new_job("two", gpus=2))
    (message,) = _send(database)
    assert message.kept == 4
    _ready(database, *slots[:3])
    assert _begin(database, slots[0], gang) is None
    _ready(database, slots[3])
    assert _begin(database, slots[0], gang) is not None


def test_a_larger_job_keeps_gpus_of_one_that_runs(database: Database) -> None:
    """Else jobs of two GPUs could follow each other for ever."""
    slots = _serve(database, "h", 3)
    (two,) = insert(database, new_job("two", gpus=2))
    _send(database)
    _ready(database, *slots[:2])
    claim = _begin(database, slots[0], two)
    assert claim is not None
    three, more = insert(database, new_job("three", gpus=3, priority=1), new_job("more", gpus=2))
    assert [message.job_id for message in _send(database)] == [three]
    found = _ready(database, *slots)
    assert [one and (one.job_id, one.is_running) for one in found] == [
        (two, True),
        (two, True),
        (three, False),
    ]
    assert _begin(database, slots[0], three) is None
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0)
    _ready(database, *slots)
    assert _begin(database, slots[0], three) is not None
    assert status(database, more) is JobStatus.QUEUED


@pytest.mark.parametrize("loss", ["cancel", "priority", "end"])
def test_slots_are_free_again_when_the_job_does_not_come(database: Database, loss: str) -> None:
    a, b = _serve(database, "h", 2)
    (gang,) = insert(database, new_job("two", gpus=2))
    _send(database)
    _ready(database, a, b)
    with database.begin() as c:
        if loss == "cancel":
            job_table.cancel(c, gang)
        elif loss == "priority":
            reservations.hand_back_of(c, [a])
        else:
            assert gangs.extend_leases(c, ["cpu"], ALIVE_S) == []
            c.execute(update(jobs).where(jobs.c.id == gang).values(lease_until=0.0))
            assert gangs.extend_leases(c, ["cpu"], ALIVE_S) == []  # the lease is extended
            assert recovery.requeue_expired(c, 1.0) == []
            workers.end(c, "h")
            assert gangs.extend_leases(c, ["cpu"], ALIVE_S) == [gang]
    with database.read() as c:
        assert not gang_slot_state.is_kept(c, a) and not gang_slot_state.is_kept(c, b)
    assert _begin(database, a, gang) is None


def test_a_job_that_was_lost_begins_anew_with_the_same_number(database: Database) -> None:
    a, b = _serve(database, "h", 2)
    (gang,) = insert(database, new_job("two", gpus=2))
    _send(database)
    _ready(database, a, b)
    claim = _begin(database, a, gang)
    assert claim is not None
    with database.begin() as c:
        assert ends.fail(c, claim, FailureClass.LOST, "gone", backoff_s=0.0)
        c.execute(update(jobs).values(not_before=0.0))
    assert _ready(database, a) == [None]
    (message,) = _send(database)
    assert (message.dispatch_seq, message.kept) == (2, 2)
    assert _begin(database, a, gang) is None  # who was ready for the attempt before is not for this
    _ready(database, a, b)
    again = _begin(database, a, gang)
    assert again is not None and again.attempt == 2
    with database.begin() as c:
        assert not commit(c, claim, epoch=5, seconds=1.0)
        assert commit(c, again, epoch=5, seconds=1.0)


def test_a_waiting_slot_is_backfilled_with_a_job_that_ends_in_time(database: Database) -> None:
    a, b = _serve(database, "h", 2)
    for i, seconds in enumerate((10.0, 10.0)):
        done = _run(database, f"done {i}", a, experiment="short")
        with database.begin() as c:
            assert commit(c, done, epoch=5, seconds=1.0)
            c.execute(update(jobs).where(jobs.c.id == done.job_id).values(seconds=seconds))
    long = _run(database, "long", a)
    (gang,) = insert(database, new_job("two", gpus=2, priority=1))
    unknown, short, later = insert(
        database,
        new_job("unknown"),
        new_job("short", experiment="short"),
        new_job("later", experiment="short"),
    )
    assert [message.job_id for message in _send(database)] == [gang]
    _ready(database, b)
    assert _lend(database) == []  # nothing is known of the long one
    _let_epoch_pass(database, long, 6.0)
    assert _lend(database) == []  # 24 s are left, and a child takes 20 s to start
    _let_epoch_pass(database, long, 30.0)
    assert _lend(database) == [short]
    assert _lend(database) == []  # the slot is taken
    with database.begin() as c:
        assert reservations.backfilled_job(c, b) == short
    claim = _begin(database, b, short)
    assert claim is not None and claim.worker == b
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0)
    assert {status(database, job) for job in (unknown, later)} == {JobStatus.QUEUED}
    found = _ready(database, b)
    assert found[0] is not None and found[0].job_id == gang


def _lend(database: Database) -> list[int]:
    with database.begin() as c:
        (load,) = capacity.loads(c, ALIVE_S)
        return backfill.reserve(c, load, ALIVE_S)


def test_why_a_large_job_waits_beside_a_free_gpu(database: Database) -> None:
    _serve(database, "h", 3)
    first, second = insert(database, new_job("1", gpus=2), new_job("2", gpus=2))
    assert [message.job_id for message in _send(database)] == [first]
    assert "waits for 2 GPUs of one host: those of queue 'cpu'" in str(_why(database, second))
    assert _send(database) == []


def test_what_was_sent_before_a_large_job_is_not_overtaken_by_it(database: Database) -> None:
    """Nor is the large job by what comes after it."""
    a, b = _serve(database, "h", 2)
    small, gang, later = insert(
        database, new_job("1"), new_job("2", gpus=2, experiment="g"), new_job("3", experiment="l")
    )
    assert [message.job_id for message in _send(database, 4)] == [small]
    assert _send(database, 4) == []
    with database.begin() as c:
        claim = leases.claim(c, small, 1, a, ALIVE_S)
    assert claim is not None
    assert [message.job_id for message in _send(database, 4)] == [gang]
    with database.read() as c:
        assert gangs.idle_kept_slots(c) == [
            (gang, service_route("cpu", "h"), 1)
        ]  # the other has a job
    assert _ready(database, b)[0] is not None
    with database.read() as c:
        assert gangs.idle_kept_slots(c) == []
    assert status(database, later) is JobStatus.QUEUED


def test_hours_on_two_gpus_count_twice(database: Database) -> None:
    a, b = _serve(database, "h", 2)
    with database.begin() as c:
        users.set_quota(c, "ana", gpu_hours=100.0)
    (gang,) = insert(database, new_job("two", gpus=2))
    with database.begin() as c:
        c.execute(update(experiments).values(user_name="ana"))
    _send(database)
    _ready(database, a, b)
    assert _begin(database, a, gang) is not None
    with database.begin() as c:
        c.execute(update(attempts).values(started_at=attempts.c.started_at - 3600.0))
        users.measure(c)
        (quota,) = users.quotas(c, "ana")
    assert quota.gpu_hours_used == pytest.approx(2.0, rel=0.01)


def _why(database: Database, job_id: int) -> Explanation:
    return explain(database, Settings(), job_id, ping=lambda: None)


def test_why_says_what_the_dispatcher_does(database: Database) -> None:
    a, b = _serve(database, "h", 2)
    running = _run(database, "small", a)
    gang, more, small = insert(
        database, new_job("2", gpus=2), new_job("3", gpus=2), new_job("4", gpus=3)
    )
    assert [r.kind for r in _why(database, small).reasons] == ["labels"]
    assert "needs gpus=3, which no worker" in str(_why(database, small))
    assert [r.kind for r in _why(database, gang).reasons] == ["next"]
    assert [message.job_id for message in _send(database)] == [gang]
    _ready(database, b)
    assert f"job {gang} has 2 slots kept for it, {a}, {b}: 1 are ready, and it begins when job" in (
        said := str(_why(database, gang))
    )
    assert said.endswith(f"when job {running.job_id} ends")
    why = _why(database, more)
    assert "all 2 slots of queue 'cpu' with gpus=2 are taken, 2 of them kept for jobs on" in str(
        why
    )
    assert why.starts_in_s is None
