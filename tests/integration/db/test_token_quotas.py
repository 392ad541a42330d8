"""A token has no more unfinished jobs than it may have, whoever submits at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.rows import commit, insert_many, take
from typer.testing import CliRunner

from fitfleet.cli.main import app
from fitfleet.db.accounts import access, tokens
from fitfleet.db.actor import Actor, Scope, acting
from fitfleet.db.jobs import jobs
from fitfleet.db.session import Database
from fitfleet.errors import AccessError, QuotaError


def make(database: Database, max_jobs: int | None, user: str = "ana") -> Actor:
    """A token's user."""
    with database.begin() as c:
        token = tokens.create(c, user, Scope.SUBMIT, max_jobs=max_jobs)
    with database.read() as c:
        return tokens.find(c, token)


@contextmanager
def refused(database: Database, says: str) -> Iterator[None]:
    """QuotaError, and neither a job nor a line in the log is written."""
    with database.read() as c:
        before = access.log(c, 99)
    with pytest.raises(QuotaError, match=says) as error:
        yield
    assert "\n" not in str(error.value)
    with database.read() as c:
        assert access.log(c, 99) == before


def test_a_token_has_no_more_unfinished_jobs_than_it_may(database: Database) -> None:
    with acting(make(database, 3)):
        first = insert_many(database, 3, experiment="a")
        assert insert_many(database, 3, experiment="a") == first  # they are there
        with refused(database, r"would have 4 unfinished jobs, and may have 3 \(quota\)"):
            insert_many(database, 1, experiment="b")
        (claim,) = take(database)
        with database.begin() as c:
            commit(c, claim, epoch=5, seconds=1.0)
        insert_many(database, 1, experiment="b")
        with refused(database, "may have 3"), database.begin() as c:
            jobs.extend(c, claim.job_id, 9)
        with database.begin() as c:
            jobs.cancel(c, first[1])
        insert_many(database, 1, experiment="c")
        with refused(database, "may have 3"), database.begin() as c:
            jobs.retry(c, first[1])


def test_a_token_with_a_quota_submits_to_its_own_experiments(database: Database) -> None:
    with acting(make(database, None)):
        insert_many(database, 1, experiment="a")
    with acting(make(database, 5)):
        with pytest.raises(AccessError, match="'a' is another's: choose another name"):
            insert_many(database, 2, experiment="a")
        insert_many(database, 2, experiment="b")
    with acting(make(database, None)):  # of the same user
        insert_many(database, 4, experiment="b")


def test_many_at_once_do_not_go_above_it_together(database: Database) -> None:
    actor, outcomes = make(database, 4), []

    def submit(number: int) -> None:
        with acting(actor):
            try:
                insert_many(database, 2, experiment=f"e{number}")
                outcomes.append(True)
            except QuotaError:
                outcomes.append(False)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 4 + [True] * 2


def test_the_command_makes_one_and_lists_it(sqlite_url: str) -> None:
    at = ["--database-url", sqlite_url]
    made = CliRunner().invoke(app, ["token", "create", "--user", "ana", "--max-jobs", "7", *at])
    assert made.exit_code == 0
    database = Database(sqlite_url)
    with database.read() as c:
        assert [row["max_jobs"] for row in tokens.listed(c)] == [7]
        assert c.exec_driver_sql("SELECT max_jobs FROM tokens").scalar() == 7
    database.dispose()
    for text, says in (("-1", "give 0 or more"), ("x", "is not a whole number")):
        bad = CliRunner().invoke(app, ["token", "create", "--user", "b", f"--max-jobs={text}", *at])
        assert (bad.exit_code, says in bad.output) == (2, True)
