"""Jobs are packed on a device by what they were measured to need; the unknown runs alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Connection, select, update
from support.parts import sampled
from support.rows import column, commit, insert, new_job, status

from fitfleet.db.attempts import ends, leases, memory
from fitfleet.db.attempts.claims import Claim
from fitfleet.db.attempts.memory import Measurement
from fitfleet.db.fleet import admission, capacity, workers
from fitfleet.db.fleet.device_memory import PATIENCE_S
from fitfleet.db.fleet.dispatch_capacity import capacity_now
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.db.scheduling import dispatch, reservations
from fitfleet.db.schema.tables import jobs, memory_waits
from fitfleet.db.session import Database
from fitfleet.scheduler.explain import explain
from fitfleet.settings import Settings
from fitfleet.spec.memory import fit_kind
from fitfleet.spec.sizes import size_label
from fitfleet.states import FailureClass, JobStatus

GB = 10**9


def _serve(database: Database, host: str, size_bytes: int, slots: int = 3) -> list[str]:
    """A host whose fits share so much memory; its slots."""
    rows = [
        Slot(f"{host}:1:{i}", host, host, 1, i, "cpu", "cpu", device_bytes=size_bytes)
        for i in range(slots)
    ]
    labels = {"memory": size_label(size_bytes)}
    with database.begin() as c:
        workers.register(c, [replace(slot, labels=labels) for slot in rows])
    return [slot.id for slot in rows]


def _measure(database: Database, job: NewJob, size_bytes: int, **more: object) -> None:
    values = {"engine": "loop", "cohort": 1, "device": "cpu", "size_bytes": size_bytes, **more}
    with database.begin() as c:
        memory.record(c, [Measurement(fit_kind(job.spec, job.fingerprint), **values)])  # type: ignore[arg-type]


def _poll(database: Database) -> list[dispatch.Message]:
    """What the dispatcher does in a poll, after a moment."""
    with database.begin() as c:
        c.execute(update(jobs).values(not_before=0.0))
        return [
            message
            for load in capacity.loads(c, 60.0)
            for message in dispatch.dispatch_to(c, load.queue, capacity_now(c, load, 2))
        ]


def _take(database: Database, message: Sequence[object], slot: str) -> Claim | None:
    """What a slot does with a message."""
    job_id, dispatch_seq = int(str(message[0])), int(str(message[1]))
    with database.begin() as c:
        if not admission.admits(c, (job_id, dispatch_seq), slot, None, 60.0):
            return None
        return leases.claim(c, job_id, dispatch_seq, slot, 60.0)


def _start(database: Database, job_id: int, slot: str) -> Claim | None:
    """Send one job to a slot, past the dispatcher."""
    with database.begin() as c:
        c.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.status == JobStatus.QUEUED)
            .values(status=JobStatus.DISPATCHED, dispatch_seq=jobs.c.dispatch_seq + 1)
        )
    return _take(database, (job_id, column(database, job_id, "dispatch_seq")), slot)


def _end(database: Database, claim: Claim | None) -> None:
    assert claim is not None
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0)


def test_what_is_not_known_runs_alone(database: Database) -> None:
    first, second, _ = _serve(database, "a", 8 * GB)
    one, two = insert(database, new_job("1"), new_job("2"))
    claim = _start(database, one, first)
    assert claim is not None and column(database, one, "needs_bytes") is None
    assert _start(database, two, second) is None
    assert status(database, two) is JobStatus.QUEUED
    _end(database, claim)
    assert _start(database, two, second) is not None


def test_known_jobs_share_a_device_as_long_as_they_fit(
    database: Database, settings: Settings
) -> None:
    a, b, c = _serve(database, "a", 8 * GB)
    rows = [new_job(f"{i}", fuse_key="k", group="k") for i in range(4)]
    rows = [replace(row, spec=rows[0].spec) for row in rows]
    one, two, three, four = insert(database, *rows)
    _measure(database, rows[0], 3 * GB)
    claims = [_start(database, one, a), _start(database, two, b)]
    assert column(database, one, "needs_bytes") == 3_300_000_000
    assert _start(database, three, c) is None
    # Its program's other jobs ask for the same now, and no message goes out for them.
    assert column(database, four, "requirement_id") == column(database, three, "requirement_id") > 0
    assert _poll(database) == []
    said = explain(database, settings, three, ping=lambda: None)
    assert str(said).endswith(
        "waits for memory: needs 3.3GB (measured), and of the devices of queue 'cpu' none has more"
        " than 1.4GB free"
    )
    assert said.is_held
    _end(database, claims[0])
    (message,) = [message for message in _poll(database) if message.job_id == three][:1]
    assert _take(database, message, a) is not None


def test_two_services_on_one_gpu_share_its_memory(database: Database) -> None:
    slots = [
        Slot(f"host:{pid}:0", f"s{pid}", "host", pid, 0, "cpu", "gpu 0", device_bytes=8 * GB)
        for pid in (1, 2)
    ]
    names = []
    for slot in slots:
        with database.begin() as c:
            names += workers.register(c, [replace(slot, labels={"gpu_memory": "8GB"})])
    assert len(set(names)) == 2
    one, two = insert(database, new_job("1"), new_job("2"))
    claim = _start(database, one, slots[0].id)
    assert _start(database, two, slots[1].id) is None, "the other service runs a job alone there"
    _end(database, claim)
    assert _start(database, two, slots[1].id) is not None


def test_what_a_device_cannot_hold_goes_where_it_can(
    database: Database, settings: Settings
) -> None:
    small = _serve(database, "small", 4 * GB)
    row = new_job("1")
    (job_id,) = insert(database, row)
    _measure(database, row, 9 * GB)
    assert _start(database, job_id, small[0]) is None
    assert _poll(database) == []
    said = str(explain(database, settings, job_id, ping=lambda: None))
    assert "needs memory=9.0GB (measured), which no worker of queue 'cpu' has" in said
    assert "there are memory=4GB" in said
    large = _serve(database, "large", 10 * GB)
    (message,) = _poll(database)
    assert _take(database, message, large[0]) is not None


def test_a_need_that_is_stated_is_believed(database: Database) -> None:
    a, b, _ = _serve(database, "a", 8 * GB)
    rows = [new_job("1", memory="5GB"), new_job("2", memory="3GB"), new_job("3", memory="1GB")]
    one, two, three = insert(database, *rows)
    _measure(database, rows[0], 7 * GB)
    assert _start(database, one, a) is not None
    assert _start(database, two, b) is not None
    assert _start(database, three, "a:1:2") is None
    assert column(database, one, "needs_bytes") == 5 * GB


def test_of_an_experiment_the_larger_goes_first(database: Database) -> None:
    slots = _serve(database, "a", 20 * GB, slots=4)
    rows = [new_job(f"{i}", group=f"{i}", epochs=5 + i) for i in range(4)]
    ids = insert(database, *rows)
    for row, size in zip(rows, (2, 9, 4, 18), strict=True):
        _measure(database, row, size * GB)
    (blocking,) = insert(database, new_job("block", memory="19GB", experiment="other"))
    claim = _start(database, blocking, slots[0])
    for job_id in ids:
        assert _start(database, job_id, slots[1]) is None
    _end(database, claim)
    order = [message.job_id for message in _poll(database)]
    assert order == [ids[3], ids[1], ids[2], ids[0]]


def test_a_job_that_has_waited_long_is_overtaken_no_more(database: Database) -> None:
    a, b, c = _serve(database, "a", 8 * GB)
    (d, *_) = _serve(database, "b", 8 * GB)
    rows = [new_job("large", memory="7GB"), *(new_job(f"{i}", memory="2GB") for i in range(4))]
    rows.append(new_job("urgent", memory="2GB", priority=9))
    large, one, two, three, four, urgent = insert(database, *rows)
    claim = _start(database, one, a)
    assert _start(database, large, b) is None
    backfilled = _start(database, two, b)
    with database.begin() as c_:
        c_.execute(update(memory_waits).values(since=memory_waits.c.since - PATIENCE_S - 1.0))
    assert _start(database, three, c) is None  # it would fit
    assert _start(database, four, d) is not None  # elsewhere it may
    assert _start(database, urgent, c) is not None  # and so may what is more urgent
    _end(database, claim)
    _end(database, backfilled)
    with database.read() as c_:
        urgent_claim = leases.claims_of(c_, [urgent])[0]
    _end(database, urgent_claim)
    assert _start(database, large, b) is not None
    with database.read() as c_:
        waiting = set(c_.scalars(select(memory_waits.c.job_id)))
    assert large not in waiting


def test_a_cohort_is_as_large_as_the_memory_allows(database: Database) -> None:
    first, second, _ = _serve(database, "a", 8 * GB)
    row = new_job("0", fuse_key="k", group="k")
    rows = [replace(row, content_hash=f"{i}") for i in range(12)]
    ids = insert(database, *rows)
    leader = _start(database, ids[0], first)
    assert leader is not None

    def limit() -> int:
        with database.begin() as c:
            return admission.cohort_limit(c, leader, 9)

    assert limit() == 0  # nothing is known: it measures
    _measure(database, row, GB)
    assert limit() == 6  # 7 times 1.1 GB
    _measure(database, row, 2 * GB, engine="fused", cohort=6)
    # A line through 1 GB for one and 2 GB for six: 3 GB for eleven.
    assert limit() == 9
    _measure(database, row, 6 * GB, engine="fused", cohort=6)
    assert limit() == 6
    assert column(database, ids[0], "needs_bytes") == pytest.approx(7.7 * GB, rel=0.02)
    with database.begin() as c:
        peers = reservations.reserve(c, leader, 60.0, 6)
    assert len(peers) == 6
    assert {column(database, peer.job_id, "needs_bytes") for peer in peers} == {
        column(database, ids[0], "needs_bytes")
    }
    _end(database, leader)  # its peers go on, and still need it
    other = insert(database, new_job("other", memory="2GB"))[0]
    assert _start(database, other, second) is None


def _no_way_left(c: Connection, claim: Claim, bound: Measurement) -> str | None:
    return admission.out_of_memory_reason(c, claim, bound.size_bytes, 60.0, may_shrink=False)


def test_out_of_memory_alone_it_goes_to_a_larger_device_or_has_failed(
    database: Database,
) -> None:
    slot, *_ = _serve(database, "a", 4 * GB)
    row = new_job("1")
    (job_id,) = insert(database, row)

    def run_out(step: int) -> str | None:
        with database.begin() as c:
            c.execute(update(jobs).where(jobs.c.id == job_id).values(memory_step=step))
        claim = _start(database, job_id, slot)
        assert claim is not None
        kind = fit_kind(row.spec, None)
        bound = Measurement(kind, "fit", 1, "cpu", 3 * GB, is_bound=True)
        with database.begin() as c:
            bound = admission.raised_to_device(c, bound, claim)
            memory.record(c, [bound])
            last = _no_way_left(c, claim, bound) if step else None
            ends.fail(c, claim, FailureClass.MEMORY, "out of memory", is_last=last is not None)
        return last

    assert run_out(0) is None
    assert status(database, job_id) is JobStatus.QUEUED
    last = run_out(1)
    assert last is not None
    assert (
        "it needs more than 4.0GB, alone on cpu, and the largest device of queue 'cpu' has" in last
    )
    assert status(database, job_id) is JobStatus.FAILED
    # Others of its kind do not try it there again, but where there is more.
    (second,) = insert(database, replace(row, content_hash="2"))
    assert _start(database, second, slot) is None
    larger, *_ = _serve(database, "b", 6 * GB)
    (message,) = _poll(database)
    assert _take(database, message, larger) is not None


def test_a_job_that_may_shrink_starts_in_batches_that_are_not_known_to_be_too_large(
    database: Database,
) -> None:
    slot, *_ = _serve(database, "a", 4 * GB)
    row, other = new_job("1", shrink_on_oom=True), new_job("2", shrink_on_oom=True)
    whole, halved = insert(database, row, other)
    kind = fit_kind(row.spec, None)
    with database.begin() as c:
        for batch_size in (32, 16):
            bound = Measurement(replace(kind, batch_size=batch_size), "fit", 1, "cpu", 4 * GB)
            memory.record(c, [replace(bound, is_bound=True)])
    assert _start(database, whole, slot) is not None
    assert column(database, whole, "memory_step") == 3  # a quarter of 32
    assert column(database, whole, "needs_bytes") is None
    # Where there is more memory, whole batches are tried first.
    _measure(database, other, 5 * GB)
    _serve(database, "b", 6 * GB)
    assert _start(database, halved, "a:1:1") is None
    assert column(database, halved, "memory_step") == 0
    (message,) = _poll(database)
    assert _take(database, message, "b:1:0") is not None


def test_a_job_that_another_slot_has_claimed_meanwhile_is_not_put_back(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message came twice: one slot looks whether it fits while the other claims it."""
    database = Database(postgres_url)
    (narrow,), (wide,) = _serve(database, "a", 8 * GB, 1), _serve(database, "b", 8 * GB, 1)
    (job_id,) = insert(database, new_job("1"))
    with database.begin() as c:
        (message,) = dispatch.dispatch(c, "cpu", 1)
    claims: list[Claim | None] = []

    def overtaken(*_: object) -> bool:
        monkeypatch.undo()
        claims.append(_take(database, message, wide))
        return False

    monkeypatch.setattr(admission, "_fits", overtaken)
    assert _take(database, message, narrow) is None
    assert claims[0] is not None and status(database, job_id) is JobStatus.RUNNING
    _end(database, claims[0])
    database.dispose()


def test_slots_that_claim_at_once_do_not_overfill_their_device(database: Database) -> None:
    slots = _serve(database, "a", 8 * GB, slots=6)
    ids = insert(database, *(new_job(f"{i}", memory="3GB") for i in range(6)))
    with ThreadPoolExecutor(6) as pool:
        claims = list(pool.map(lambda job_id, slot: _start(database, job_id, slot), ids, slots))
    assert sum(claim is not None for claim in claims) == 2


@pytest.mark.parametrize("seed", sampled("0123", "1"))
def test_every_job_has_its_turn_and_no_device_is_overfull(database: Database, seed: str) -> None:
    """Random needs, two devices, three slots each; ends in a random order."""
    rng = random.Random(seed)
    sizes = {"a": 8 * GB, "b": 5 * GB}
    slots = [slot for host, size in sizes.items() for slot in _serve(database, host, size)]
    rows = [new_job(f"{i}", group=f"{i}", epochs=1 + i % 7) for i in range(20)]
    rows = [replace(row, spec=rows[i % 7].spec) for i, row in enumerate(rows)]
    needs = [rng.choice((1, 2, 3, 4, 6, 7)) * GB for _ in range(7)]
    ids = insert(database, *rows)
    for row, need in zip(rows, needs, strict=False):
        if rng.random() < 0.8:
            _measure(database, row, need)
    running: dict[str, Claim] = {}
    messages: list[dispatch.Message] = []  # in the broker, until a slot is free
    for _ in range(400):
        messages += _poll(database)
        while messages and (free := [slot for slot in slots if slot not in running]):
            slot = rng.choice(free)
            if claim := _take(database, messages.pop(0), slot):
                running[slot] = claim
        for host, size in sizes.items():
            here = [claim.job_id for slot, claim in running.items() if slot.startswith(host)]
            held = [column(database, job_id, "needs_bytes") for job_id in here]
            assert len(held) <= 1 or sum(need or size + 1 for need in held) <= size
        if running:
            _end(database, running.pop(rng.choice(sorted(running))))
        if all(status(database, job_id) is JobStatus.SUCCEEDED for job_id in ids):
            return
    raise AssertionError([status(database, job_id) for job_id in ids])
