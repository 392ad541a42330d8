"""Submitting rows: one transaction, one job for one content, whoever comes first."""

from __future__ import annotations

import json
import multiprocessing
import time

import pytest
from sqlalchemy import func, select
from support.rows import column, commit, dispatch, insert, insert_many, new_job, status, take

from fitfleet.db import ends, leases
from fitfleet.db import jobs as job_table
from fitfleet.db.jobs import NewJob
from fitfleet.db.leases import Artifact
from fitfleet.db.session import Database
from fitfleet.db.tables import job_specs, jobs
from fitfleet.errors import NotFoundError, StateError
from fitfleet.spec.identity import content_hash
from fitfleet.spec.job import JobSpec
from fitfleet.states import FailureClass, JobStatus


def _insert(database: Database, rows: list[NewJob]) -> list[tuple[int, bool]]:
    with database.begin() as c:
        return job_table.insert(c, rows)


def test_the_same_content_is_the_same_job(database: Database) -> None:
    (first,) = _insert(database, [new_job("a")])
    again = _insert(database, [new_job("a"), new_job("b"), new_job("b"), new_job("a")])
    assert first[1] is True
    assert [job_id for job_id, _ in again] == [first[0], again[1][0], again[1][0], first[0]]
    assert [is_new for _, is_new in again] == [False, True, False, False]


def test_another_experiment_has_its_own_job(database: Database) -> None:
    rows = [new_job("a"), new_job("a", experiment="other")]
    assert [is_new for _, is_new in _insert(database, rows)] == [True, True]


def test_again_makes_a_new_job_each_time(database: Database) -> None:
    rows = [new_job("a"), new_job("a", again=True), new_job("a", again=True)]
    ids = {job_id for job_id, _ in _insert(database, rows)}
    ids |= {job_id for job_id, _ in _insert(database, [new_job("a", again=True)])}
    assert len(ids) == 4
    assert [column(database, job_id, "rerun") for job_id in sorted(ids)] == [0, 1, 2, 3]


def test_a_row_holds_what_was_asked(database: Database) -> None:
    row = new_job("a", seed=2**40, priority=3, params={"units": 16}, max_failures=1, timeout_s=9.5)
    (job_id,) = insert(database, row)
    assert status(database, job_id) is JobStatus.QUEUED
    values = {name: column(database, job_id, name) for name in ("seed", "priority", "timeout_s")}
    assert values == {"seed": 2**40, "priority": 3, "timeout_s": 9.5}
    assert json.loads(column(database, job_id, "params")) == {"units": 16}
    assert column(database, job_id, "max_failures") == 1
    with database.read() as c:
        spec = c.execute(select(job_specs.c.spec).where(job_specs.c.job_id == job_id)).scalar_one()
    assert JobSpec.from_canonical(spec) == row.spec


def test_jobs_are_numbered_in_their_order(database: Database) -> None:
    ids = insert_many(database, 2500)
    assert ids == sorted(ids)


def test_ten_thousand_in_one_transaction(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    rows = [new_job(f"c{i}") for i in range(10_000)]
    start = time.perf_counter()
    inserted = _insert(database, rows)
    spent_s = time.perf_counter() - start
    assert len({job_id for job_id, is_new in inserted if is_new}) == 10_000
    assert spent_s < 20  # a guard against a statement a row
    start = time.perf_counter()
    assert not any(is_new for _, is_new in _insert(database, rows))
    assert time.perf_counter() - start < 20
    database.dispose()


def _submit(url: str, contents: list[str], results: multiprocessing.Queue[list[int]]) -> None:
    database = Database(url)
    for start in range(0, len(contents), 20):
        rows = [new_job(content) for content in contents[start : start + 20]]
        results.put(insert(database, *rows))
    database.dispose()


def test_machines_that_submit_the_same_get_the_same_jobs(database_url: str) -> None:
    """Each starts at another place, so that they meet in different orders."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[int]] = context.Queue()
    contents = [f"c{i}" for i in range(200)]
    processes = [
        context.Process(
            target=_submit, args=(database_url, (contents[i * 50 :] + contents[: i * 50]), results)
        )
        for i in range(4)
    ]
    for process in processes:
        process.start()
    ids = [job_id for _ in range(40) for job_id in results.get(timeout=60)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    database = Database(database_url)
    with database.read() as c:
        count = c.execute(select(func.count()).select_from(jobs)).scalar_one()
    database.dispose()
    assert count == 200
    assert sorted(ids) == sorted(list(set(ids)) * 4)


def test_cancel_of_a_waiting_job_acts_at_once(database: Database) -> None:
    first, second = insert_many(database, 2)
    (message,) = dispatch(database, 1)
    for job_id in (first, second):
        with database.begin() as c:
            assert job_table.cancel(c, job_id) is JobStatus.CANCELLED
    with database.begin() as c:
        assert leases.claim(c, *message, "w", 60.0) is None
        assert job_table.cancel(c, first) is JobStatus.CANCELLED
        with pytest.raises(NotFoundError, match="no job 999"):
            job_table.cancel(c, 999)


def test_retry_starts_over_with_a_clean_count(database: Database) -> None:
    (job_id,) = insert(database, new_job("a"))
    (claim,) = take(database)
    with database.begin() as c:
        assert job_table.retry(c, job_id) is False
        assert ends.fail(c, claim, FailureClass.USER, "bad", "trace", "log")
    with database.begin() as c:
        assert job_table.retry(c, job_id) is True
    assert status(database, job_id) is JobStatus.QUEUED
    assert column(database, job_id, "failures") == 0
    assert column(database, job_id, "failure_class") is None
    (claim,) = take(database)
    assert claim.attempt == 2


def _succeed(database: Database, epochs: int) -> int:
    (claim,) = take(database)
    artifact = Artifact(f"x/{claim.job_id}/attempt-{claim.attempt}.weights.h5", "0" * 64, 5)
    with database.begin() as c:
        assert commit(c, claim, artifact, epoch=epochs, seconds=1.0)
    return claim.job_id


def test_extend_continues_from_the_weights_that_won(database: Database) -> None:
    (job_id,) = insert(database, new_job("a", epochs=5))
    with database.begin() as c:
        assert job_table.extend(c, job_id, 9) is False
    _succeed(database, 5)
    with database.begin() as c:
        assert job_table.extend(c, job_id, 5) is False
        assert job_table.extend(c, job_id, 9) is True
    (claim,) = take(database)
    spec = JobSpec.from_canonical(claim.spec)
    assert spec.epochs == 9
    assert (claim.checkpoint_path, claim.checkpoint_epoch, claim.checkpoint_sha256) == (
        f"x/{job_id}/attempt-1.weights.h5",
        5,
        "0" * 64,
    )
    assert column(database, job_id, "content_hash") == content_hash(spec, None)


def test_extend_gives_way_to_a_job_of_that_length(database: Database) -> None:
    (job_id,) = insert(database, new_job("a", epochs=5))
    _succeed(database, 5)
    longer = content_hash(new_job("a", epochs=9).spec, None)
    (foreign,) = insert(database, new_job(longer, experiment="other"))
    with database.begin() as c:
        assert job_table.extend(c, job_id, 8) is True
    _succeed_all(database)
    (other,) = insert(database, new_job(longer))
    refused = pytest.raises(StateError, match=f"job {other} is this job with 9 epochs")
    with refused, database.begin() as c:
        job_table.extend(c, job_id, 9)
    assert foreign != other


def _succeed_all(database: Database) -> None:
    for _ in range(2):
        _succeed(database, 8)
