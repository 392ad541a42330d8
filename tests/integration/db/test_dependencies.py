"""A job that starts from another's weights waits for it, and says so when they never come."""

from __future__ import annotations

from dataclasses import replace

from support.rows import SETTINGS, column, commit, dispatch, insert, new_job, register, status, take

from fitfleet.db.attempts import ends
from fitfleet.db.jobs import dependencies, removal
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.session import Database
from fitfleet.scheduler.explain import explain
from fitfleet.states import FailureClass, JobStatus


def _chain(database: Database, length: int = 2) -> list[int]:
    """Jobs each of which starts from the one before."""
    register(database, 1)
    ids = insert(database, new_job("job-0"))
    for number in range(1, length):
        row = replace(new_job(f"job-{number}"), starts_from=ids[-1])
        ids += insert(database, row)
    return ids


def _settle(database: Database) -> list[int]:
    with database.begin() as c:
        return dependencies.settle(c)


def test_it_is_not_dispatched_before_the_other_has_succeeded(database: Database) -> None:
    first, second, third = _chain(database, 3)
    (claim,) = take(database, limit=10)
    assert claim.job_id == first
    assert _settle(database) == [] and dispatch(database, 10) == []
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0)
        assert dependencies.needed_parents(c) == {first, second}
    assert _settle(database) == [second] and _settle(database) == []
    (claim,) = take(database, limit=10)
    assert claim.job_id == second and status(database, third) is JobStatus.QUEUED
    with database.read() as c:
        parent = dependencies.parent_of(c, second)
    assert parent is not None and parent.artifact_path == "digits/1/attempt-1.weights.h5"


def test_it_fails_with_the_reason_of_the_other_and_so_do_those_after_it(
    database: Database,
) -> None:
    first, second, third = _chain(database, 3)
    (claim,) = take(database, limit=10)
    with database.begin() as c:
        ends.fail(c, claim, FailureClass.USER, "loss: there is none")
    assert _settle(database) == [second] and _settle(database) == [third]
    assert column(database, second, "failure_message") == (
        f"job {first}, whose weights it starts from, has failed (loss: there is none); retry that"
        " one, and this when it has succeeded"
    )
    assert status(database, third) is JobStatus.FAILED
    assert column(database, third, "failure_class") == FailureClass.USER


def test_a_cancelled_one_is_waited_for_no_longer(database: Database) -> None:
    first, second = _chain(database)
    with database.begin() as c:
        job_table.cancel(c, first)
    assert _settle(database) == [second]
    assert "has been cancelled; retry" in column(database, second, "failure_message")


def test_after_a_retry_of_both_the_one_waits_for_the_other_again(database: Database) -> None:
    first, second = _chain(database)
    with database.begin() as c:
        job_table.cancel(c, first)
    _settle(database)
    with database.begin() as c:
        assert job_table.retry(c, first) and job_table.retry(c, second)
    (claim,) = take(database, limit=10)
    assert claim.job_id == first and _settle(database) == []
    with database.begin() as c:
        commit(c, claim, epoch=5, seconds=1.0)
    assert _settle(database) == [second] and len(dispatch(database, 10)) == 1


def test_a_removed_one_is_said_to_be_removed(database: Database) -> None:
    first, second = _chain(database)
    with database.begin() as c:
        job_table.cancel(c, first)
        removal.remove_jobs(c, [first])
    assert _settle(database) == [second]
    assert "was removed" in column(database, second, "failure_message")


def test_explain_names_the_parent_that_a_job_waits_for(database: Database) -> None:
    first, second = _chain(database)
    said = explain(database, SETTINGS, second, ping=lambda: None)
    (reason,) = [cause for cause in said.reasons if cause.kind == "dependency"]
    assert reason.text == f"waits for job {first}, whose weights it starts from: QUEUED"
    assert said.place is None and said.is_held
