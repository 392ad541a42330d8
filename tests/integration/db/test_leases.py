"""A worker's hold on its jobs: claim, heartbeat, fence, and each way to end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update
from support.rows import (
    WEIGHTS,
    age,
    column,
    commit,
    dispatch,
    insert,
    insert_many,
    let_expire,
    new_job,
    status,
    take,
)

from fitfleet.db.attempts import checkpoints, ends, leases, metrics
from fitfleet.db.attempts.leases import Claim
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.jobs import experiments
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.reading import lookup
from fitfleet.db.reading.attempts import attempts_of
from fitfleet.db.scheduling import dispatch as dispatch_table
from fitfleet.db.scheduling import recovery
from fitfleet.db.schema.tables import attempts, jobs, scores
from fitfleet.db.session import Database, read_clock
from fitfleet.states import FailureClass, JobStatus, Request


def _running(database: Database, **options: Any) -> Claim:
    insert(database, new_job("a", **options))
    (claim,) = take(database)
    return claim


def _attempt(database: Database, claim: Claim) -> dict[str, Any]:
    with database.read() as c:
        return attempts_of(c, claim.job_id)[claim.attempt - 1]


def test_a_message_claims_once(database: Database) -> None:
    insert(database, new_job("a", timeout_s=7.0))
    (message,) = dispatch(database, 1)
    with database.begin() as c:
        claim = leases.claim(c, *message, "host:1:0", 60.0)
        assert claim is not None
        assert (claim.attempt, claim.timeout_s, claim.experiment) == (1, 7.0, "digits")
        assert leases.claim(c, *message, "host:2:0", 60.0) is None


def test_an_outdated_message_claims_nothing(database: Database) -> None:
    insert(database, new_job("a"))
    (old,) = dispatch(database, 1)
    with database.begin() as c:
        age(c, [old[0]], 10)

    with database.begin() as c:
        assert dispatch_table.redispatch(c, "cpu", 60.0) == []
        assert dispatch_table.redispatch(c, "cpu", 5.0) == [old[0]]
        assert leases.claim(c, *old, "w", 60.0) is None
    (new,) = dispatch(database, 1)
    with database.begin() as c:
        assert leases.claim(c, *old, "w", 60.0) is None
        assert leases.claim(c, *new, "w", 60.0) is not None


def test_a_heartbeat_extends_the_lease_and_returns_the_request(database: Database) -> None:
    first, second = insert_many(database, 2)
    claims = take(database, 2)
    with database.begin() as c:
        job_table.cancel(c, first)
    with database.begin() as c:
        heard = leases.heartbeat(c, claims, 500.0, {(second, 1)})
        clock = read_clock(c)
    assert heard == {(first, 1): Request.CANCEL, (second, 1): None}
    assert column(database, first, "lease_until") > clock + 400
    assert column(database, second, "progress_at") > column(database, first, "progress_at")


@pytest.mark.parametrize("heir_worker", ["host:1:0", "host:2:0"])
def test_a_zombie_writes_nothing(database: Database, heir_worker: str) -> None:
    """Whether another worker has the job now, or the next attempt in the zombie's own slot."""
    claim = _running(database)
    with database.begin() as c:
        let_expire(c, [claim.job_id])
        assert recovery.requeue_expired(c, 0.0) == [claim.job_id]
    (heir,) = take(database, worker=heir_worker)
    before = _state(database)
    with database.begin() as c:
        assert leases.heartbeat(c, [claim], 60.0) == {}
        assert metrics.record(c, [EpochMetrics(claim, 1, {"loss": 1.0})]) == set()
        assert checkpoints.checkpoint(c, claim, "x", 1) is False
        assert leases.describe_attempts(c, [(claim, {"engine": "fit"})]) == set()
        assert commit(c, claim, epoch=5, seconds=1.0, scores={"keras": {"test_loss": 1.0}}) is False
        assert ends.fail(c, claim, FailureClass.USER, "no") is False
        assert ends.release(c, claim, seconds=1.0) is False
        assert ends.stop(c, claim, JobStatus.CANCELLED, seconds=1.0) is False
    assert _state(database) == before
    thief = replace(heir, worker="host:3:0")
    with database.begin() as c:
        assert ends.release(c, thief, seconds=1.0) is False
        assert ends.release(c, heir, seconds=1.0) is True


def _state(database: Database) -> list[Any]:
    from fitfleet.db.schema.tables import metadata

    with database.read() as c:
        return [
            [tuple(row) for row in c.execute(select(table).order_by(*table.primary_key.columns))]
            for table in metadata.sorted_tables
        ]


def test_success_points_to_the_weights(database: Database) -> None:
    claim = _running(database)
    with database.begin() as c:
        details = {"engine": "loop", "engine_reason": "faster"}
        assert leases.describe_attempts(c, [(claim, details)]) == {claim.key}
        rows = [EpochMetrics(claim, epoch, {"loss": 1.0 / epoch}) for epoch in range(1, 6)]
        assert metrics.record(c, rows) == {(claim.job_id, 1)}
        assert commit(c, claim, epoch=3, seconds=2.5, log_tail="bye\x00\ud800")
    with database.read() as c:
        (row,) = lookup.jobs_by_id(c, [claim.job_id])
        curve = lookup.curve(c, claim.job_id)
    assert row.status is JobStatus.SUCCEEDED
    assert (row.artifact_path, row.seconds, row.epoch) == (WEIGHTS.path, 2.5, 3)
    assert (row.engine, row.engine_reason) == ("loop", "faster")
    assert [point.epoch for point in curve] == [1, 2, 3]  # what an earlier attempt had further on
    assert _attempt(database, claim)["outcome"] == "succeeded"
    assert _attempt(database, claim)["log_tail"] == "bye?"


def test_a_commit_may_be_repeated_when_its_answer_was_lost(database: Database) -> None:
    claim = _running(database)
    for _ in range(2):
        with database.begin() as c:
            assert commit(c, claim, epoch=5, seconds=1.0) is True
    assert column(database, claim.job_id, "seconds") == 1.0
    with database.begin() as c:
        other = replace(WEIGHTS, path="another")
        assert commit(c, claim, other, epoch=5, seconds=1.0) is False


@pytest.mark.parametrize("kind", [FailureClass.USER, FailureClass.NAN, FailureClass.TIMEOUT])
def test_what_would_fail_again_is_not_tried_again(database: Database, kind: FailureClass) -> None:
    claim = _running(database)
    with database.begin() as c:
        assert ends.fail(c, claim, kind, "no\x00", "trace\ud800", "log", seconds=1.0)
    with database.read() as c:
        (row,) = lookup.jobs_by_id(c, [claim.job_id])
    assert row.status is JobStatus.FAILED
    assert (row.failure_class, row.failure_message, row.failures) == (kind, "no", 1)
    assert row.finished_at is not None
    assert _attempt(database, claim)["outcome"] == kind


def _fail(database: Database, kind: FailureClass, backoff_s: float = 8.0) -> float:
    (claim,) = take(database)
    with database.begin() as c:
        assert ends.fail(c, claim, kind, "again", backoff_s=backoff_s)
        return float(column_in(c, claim.job_id, "not_before")) - read_clock(c)


def column_in(c: Any, job_id: int, name: str) -> Any:
    return c.execute(select(jobs.c[name]).where(jobs.c.id == job_id)).scalar_one()


@pytest.mark.parametrize(
    "kind",
    [
        FailureClass.LOST,
        FailureClass.STALLED,
        FailureClass.INTERNAL,
        FailureClass.STORAGE,
        FailureClass.MEMORY,
    ],
)
def test_others_are_tried_again_ever_later_up_to_a_limit(
    database: Database, kind: FailureClass
) -> None:
    (job_id,) = insert(database, new_job("a", max_failures=3))
    assert _fail(database, kind) == pytest.approx(8.0, abs=1.0)
    assert status(database, job_id) is JobStatus.QUEUED
    assert dispatch(database, 1) == []  # not before its time
    for delay_s in (16.0,):
        with database.begin() as c:
            age(c, [job_id], 100)
        assert _fail(database, kind) == pytest.approx(delay_s, abs=1.0)
    with database.begin() as c:
        age(c, [job_id], 100)
    _fail(database, kind)
    assert status(database, job_id) is JobStatus.FAILED
    assert column(database, job_id, "memory_step") == (3 if kind is FailureClass.MEMORY else 0)


def test_an_outage_of_the_storage_costs_no_failure_until_patience_ends(
    database: Database,
) -> None:
    (job_id,) = insert(database, new_job("a", max_failures=2))

    def refuse() -> tuple[int, float]:
        """Failures counted so far, and seconds to the next attempt."""
        (claim,) = take(database)
        with database.begin() as c:
            assert ends.fail(
                c, claim, FailureClass.STORAGE, "gone", backoff_s=8.0, storage_patience_s=100.0
            )
            delay_s = float(column_in(c, job_id, "not_before")) - read_clock(c)
        with database.begin() as c:
            passed = {"not_before": 0.0, "refused_since": jobs.c.refused_since - 30.0}
            c.execute(update(jobs).where(jobs.c.id == job_id).values(passed))
        return int(column(database, job_id, "failures")), delay_s

    for outage_s in (0, 30, 60, 90):
        failures, delay_s = refuse()
        assert (failures, delay_s) == (0, pytest.approx(8.0 + outage_s, abs=9.0))
    # A checkpoint ends the outage: the next one is another.
    (claim,) = take(database)
    with database.begin() as c:
        assert checkpoints.checkpoint(c, claim, "digits/1/attempt-5.epoch-2.checkpoint.h5", 2)
        assert ends.release(c, claim, seconds=1.0)
    for outage_s in (0, 30, 60, 90):
        assert refuse() == (0, pytest.approx(8.0 + outage_s, abs=9.0))
    assert refuse() == (1, pytest.approx(8.0, abs=1.0))
    assert status(database, job_id) is JobStatus.QUEUED
    assert refuse()[0] == 2
    assert status(database, job_id) is JobStatus.FAILED
    with database.begin() as c:
        assert job_table.retry(c, job_id)
    assert refuse() == (0, pytest.approx(8.0, abs=1.0))  # and a retry is a new start


def test_a_checkpoint_outlives_a_failure(database: Database) -> None:
    claim = _running(database)
    with database.begin() as c:
        name = "digits/1/attempt-1.epoch-2.checkpoint.h5"
        assert checkpoints.checkpoint(c, claim, name, 2, "a" * 64)
        assert ends.fail(c, claim, FailureClass.STORAGE, "full", backoff_s=0.0, seconds=4.0)
    (heir,) = take(database)
    assert (heir.checkpoint_path, heir.checkpoint_sha256) == (name, "a" * 64)
    assert (heir.checkpoint_epoch, heir.seconds, heir.attempt) == (2, 4.0, 2)


def test_release_is_no_failure(database: Database) -> None:
    claim = _running(database)
    with database.begin() as c:
        assert ends.release(c, claim, seconds=3.0)
    assert status(database, claim.job_id) is JobStatus.QUEUED
    assert column(database, claim.job_id, "failures") == 0
    assert column(database, claim.job_id, "seconds") == 3.0
    assert _attempt(database, claim)["outcome"] == "released"


@pytest.mark.parametrize(
    ("requested", "becomes"),
    [(Request.CANCEL, JobStatus.CANCELLED), (Request.PRUNE, JobStatus.PRUNED)],
)
def test_a_request_outlives_its_worker(
    database: Database, requested: Request, becomes: JobStatus
) -> None:
    insert_many(database, 2)
    lost, released = take(database, 2)
    with database.begin() as c:
        for claim in (lost, released):
            assert job_table.request(c, claim.job_id, requested)
    with database.begin() as c:
        let_expire(c, [lost.job_id])
        assert recovery.requeue_expired(c, 0.0) == [lost.job_id]
        assert ends.release(c, released, seconds=0.0)
    assert status(database, lost.job_id) is becomes
    assert status(database, released.job_id) is becomes
    with database.begin() as c:
        assert job_table.retry(c, lost.job_id)  # resumed


def test_a_cancel_is_not_overwritten(database: Database) -> None:
    claim = _running(database)
    with database.begin() as c:
        assert job_table.cancel(c, claim.job_id) is JobStatus.RUNNING
        assert job_table.request(c, claim.job_id, Request.RELEASE) is False
        experiments.pause(c, "digits")
    assert column(database, claim.job_id, "request") == Request.CANCEL


def test_metrics_are_those_of_keras(database: Database) -> None:
    claim = _running(database)
    logs = {"loss": 1.5, "val_loss": math.nan, "accuracy": math.inf}
    with database.begin() as c:
        metrics.record(c, [EpochMetrics(claim, 1, {**logs, "loss": 9.0})])
        metrics.record(c, [EpochMetrics(claim, 1, logs), EpochMetrics(claim, 2, {"loss": 1.0})])
    with database.read() as c:
        values = {(p.epoch, p.name): p.value for p in lookup.curve(c, claim.job_id)}
    assert values == {
        (1, "loss"): 1.5,
        (1, "val_loss"): None,
        (1, "accuracy"): math.inf,
        (2, "loss"): 1.0,
    }
    assert column(database, claim.job_id, "epoch") == 2


def test_a_lost_job_does_not_keep_its_peers_from_recording(database: Database) -> None:
    insert_many(database, 3)
    claims = take(database, 3)
    with database.begin() as c:
        assert ends.release(c, claims[1], seconds=0.0)
        rows = [EpochMetrics(claim, 1 + i, {"loss": 1.0}) for i, claim in enumerate(claims)]
        held = metrics.record(c, rows)
    assert held == {(claims[0].job_id, 1), (claims[2].job_id, 1)}


def test_scores_are_kept_with_their_source(database: Database) -> None:
    claim = _running(database)
    given = {"keras": {"test_loss": 1.0}, "music:score": {"in_scale": 0.75, "x" * 200: 1.0}}
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0, scores=given)
    with database.read() as c:
        assert [tuple(r) for r in c.execute(select(scores).order_by("name"))] == [
            (claim.job_id, "in_scale", 0.75, "music:score"),
            (claim.job_id, "test_loss", 1.0, "keras"),
            (claim.job_id, "x" * 128, 1.0, "music:score"),
        ]


def test_the_scores_of_a_later_success_replace_those_before(database: Database) -> None:
    claim = _running(database)
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0, scores={"keras": {"test_loss": 1.0}})
        assert job_table.extend(c, claim.job_id, 8)
    (claim,) = take(database)
    with database.begin() as c:
        assert commit(c, claim, epoch=8, seconds=1.0, scores={"keras": {"test_loss": 0.5}})
    with database.read() as c:
        assert c.execute(select(scores.c.value)).scalars().all() == [0.5]


def test_the_jobs_of_a_dead_service_are_taken_back_at_once(database: Database) -> None:
    from support.rows import register

    register(database, 2, pid=77)
    insert_many(database, 2)
    mine, other = take(database, 1, worker="host:77:1"), take(database, 1, worker="host:1:0")
    with database.begin() as c:
        assert 77 in recovery.open_services(c, "host")
        assert recovery.requeue_dead_service(c, "host", 77, 0.0) == [mine[0].job_id]
        assert recovery.open_services(c, "host") == []
    assert status(database, other[0].job_id) is JobStatus.RUNNING


def test_each_attempt_leaves_a_row(database: Database) -> None:
    claim = _running(database)
    with database.begin() as c:
        ends.release(c, claim, seconds=1.0)
    (claim,) = take(database)
    with database.begin() as c:
        commit(c, claim, epoch=5, seconds=2.0, memory_peak_bytes=10)
    with database.read() as c:
        rows = c.execute(select(attempts.c.outcome, attempts.c.seconds).order_by("attempt")).all()
        kinds = [event["kind"] for event in lookup.events_of(c, claim.job_id)]
    assert [tuple(row) for row in rows] == [("released", 1.0), ("succeeded", 2.0)]
    assert kinds == ["released"]
    assert column(database, claim.job_id, "seconds") == 3.0
