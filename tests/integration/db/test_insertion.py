"""Submitting rows: one transaction, one job for one content, whoever comes first."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update
from support.rows import column, commit, dispatch, insert, insert_many, new_job, status, take
from support.statements import statements

from fitfleet.db.attempts import ends, leases
from fitfleet.db.attempts.leases import Artifact
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.jobs import removal
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.db.reading import compile_options, lookup
from fitfleet.db.schema.tables import job_specs, jobs, shared_documents
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError, NotFoundError, StateError
from fitfleet.spec.identity import content_hash
from fitfleet.spec.job import JobOptions, JobSpec
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
        documents = lookup.documents(c, job_id)
    assert documents is not None
    assert documents[0] == row.spec.canonical()
    assert JobOptions.model_validate_json(documents[1]) == row.options


def test_jobs_are_numbered_in_their_order(database: Database) -> None:
    ids = insert_many(database, 2500)
    assert ids == sorted(ids)


def test_ten_thousand_in_one_transaction(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    rows = [new_job(f"c{i}") for i in range(10_000)]
    with statements(database) as sent:
        inserted = _insert(database, rows)
        assert len({job_id for job_id, is_new in inserted if is_new}) == 10_000
        assert not any(is_new for _, is_new in _insert(database, rows))
    assert len(sent) < 500
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


def _documents(database: Database) -> int:
    with database.read() as c:
        return c.execute(select(func.count()).select_from(shared_documents)).scalar_one()


def _repeats(group: str, seeds: range, **options: Any) -> list[NewJob]:
    """Jobs of one configuration; what `new_job` hashes as content differs, the model does not."""
    first = new_job(group, **options)
    return [
        replace(first, content_hash=f"{group}-{n}", spec=first.spec.model_copy(update={"seed": n}))
        for n in seeds
    ]


def test_repeats_share_their_specification(database: Database) -> None:
    rows = [*_repeats("a", range(3), params={"x": 1}), *_repeats("b", range(2), params={"x": [2]})]
    folds = {"kind": "kfold", "k": 2, "seed": 0}
    for index in range(2):
        dataset = rows[0].spec.dataset.model_copy(update={"fold": {**folds, "index": index}})
        spec = rows[0].spec.model_copy(update={"dataset": dataset})
        rows.append(replace(rows[0], content_hash=f"fold-{index}", spec=spec))
    ids = insert(database, *rows)
    assert _documents(database) == 4  # three specifications, one set of options
    assert insert(database, *rows) == ids
    for job_id, row in zip(ids, rows, strict=True):
        with database.read() as c:
            spec, options = lookup.documents(c, job_id) or ("", "")
        assert spec == row.spec.canonical()
        assert JobOptions.model_validate_json(options) == row.options
    assert [JobSpec.from_canonical(claim.spec) for claim in take(database, 7)] == [
        row.spec for row in rows
    ]


def test_a_document_goes_with_the_last_job_that_has_it(database: Database) -> None:
    ids = insert(database, *_repeats("a", range(2)), *_repeats("b", range(1)))
    assert _documents(database) == 3
    with database.begin() as c:
        for job_id in ids:
            job_table.cancel(c, job_id)
        removal.remove_jobs(c, [ids[0], ids[2]])
    assert _documents(database) == 2
    with database.begin() as c:
        assert lookup.documents(c, ids[1]) is not None
        removal.remove_jobs(c, [ids[1]])
    assert _documents(database) == 0


def test_a_job_of_an_older_version_has_its_documents_whole(database: Database) -> None:
    row = new_job("old", params={"units": 3})
    (job_id,) = insert(database, row)
    options = json.dumps(row.options.model_dump(mode="json"), sort_keys=True)
    whole = {"spec": row.spec.canonical(), "options": options, "spec_id": None, "options_id": None}
    with database.begin() as c:
        c.execute(update(job_specs).values(whole))
        assert compile_options.compiled_parts(c, "digits") == [
            {"loss": "mse", "metrics": None, "weighted_metrics": None}
        ]
        assert lookup.documents(c, job_id) == (row.spec.canonical(), options)
    (claim,) = take(database)
    assert (JobSpec.from_canonical(claim.spec), claim.options) == (row.spec, options)
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0)
        assert job_table.extend(c, job_id, 9) is True
        spec, _ = lookup.documents(c, job_id) or ("", "")
    assert JobSpec.from_canonical(spec) == row.spec.model_copy(update={"epochs": 9})


def test_a_specification_that_is_submitted_again_outlives_a_removal(postgres_url: str) -> None:
    """The job that had it is removed while another that has it is being inserted."""
    database = Database(postgres_url)
    (old_id,) = insert(database, *_repeats("a", range(1)))
    with database.begin() as c:
        job_table.cancel(c, old_id)

    def remove() -> None:
        with database.begin() as c:
            removal.remove_jobs(c, [old_id])

    thread = threading.Thread(target=remove)
    with database.begin() as c:
        ((new_id, _),) = job_table.insert(c, _repeats("a", range(1, 2), experiment="other"))
        thread.start()
        time.sleep(0.5)
    thread.join(30)
    with database.read() as c:
        assert lookup.documents(c, old_id) is None
        spec, _ = lookup.documents(c, new_id) or ("", "")
    database.dispose()
    assert JobSpec.from_canonical(spec).seed == 1


def test_a_refused_row_is_one_sentence(postgres_url: str) -> None:
    """COPY goes past SQLAlchemy, whose errors are translated."""
    database = Database(postgres_url)
    with pytest.raises(DatabaseError, match="violates foreign key") as caught:
        insert(database, replace(new_job("a"), sweep_id=99))
    assert "\n" not in str(caught.value)
    assert _documents(database) == 0
    database.dispose()
