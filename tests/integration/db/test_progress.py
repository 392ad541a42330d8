"""Large sets of jobs are counted and waited for by the database, a bounded part at a time."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa
from support.rows import insert_many, take

from fitfleet.client.wait import Pending
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.reading import progress
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.states import JobStatus


@pytest.mark.parametrize("seed", range(5))
def test_ranges_and_lists_hold_just_the_numbers_asked_for(database: Database, seed: int) -> None:
    choose = random.Random(seed)
    ids = insert_many(database, 400)
    wanted = [i for i in ids if choose.random() < choose.choice((0.02, 1.0))]
    wanted += ids[100:310]
    with database.read() as c:
        selected: list[int] = []
        for condition in progress.among(jobs.c.id, wanted):
            selected += c.scalars(sa.select(jobs.c.id).where(condition))
    assert sorted(selected) == sorted(set(wanted))


def test_jobs_are_counted_by_experiment_queue_and_status(database: Database) -> None:
    ids = insert_many(database, 3) + insert_many(database, 2, experiment="other", queue="gpu")
    with database.begin() as c:
        job_table.cancel(c, ids[0])
        c.execute(sa.update(jobs).where(jobs.c.id == ids[1]).values(epoch=2))
        counts = progress.counts(c, ids[:-1])
        assert progress.of_status(c, ids, JobStatus.QUEUED, 2) == ids[1:3]
        assert progress.unfinished(c, "digits") == ids[1:3]
        assert progress.unfinished(c) == ids[1:]
    rows = {(count.experiment, count.queue, count.status): count for count in counts}
    assert len(rows) == 3
    waiting = rows["digits", "cpu", JobStatus.QUEUED]
    assert (waiting.count, waiting.epochs, waiting.epochs_done) == (2, 10, 2)
    ended = rows["digits", "cpu", JobStatus.CANCELLED]
    assert (ended.count, ended.epochs, ended.epochs_done) == (1, 5, 5)
    assert rows["other", "gpu", JobStatus.QUEUED].count == 1


def test_a_wait_ends_with_the_last_job_whatever_their_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fitfleet.client.wait._WINDOW", 3)
    ids = insert_many(database, 9)
    removed = max(ids) + 1
    pending = Pending([*ids, removed])

    def poll() -> int:
        with database.read() as c:
            pending.poll(c)
            return pending.count(c)

    assert poll() == 9
    for number, job_id in enumerate([*ids[3:], *ids[:3]], 1):
        assert pending
        with database.begin() as c:
            job_table.cancel(c, job_id)
        assert poll() == 9 - number
    assert not pending


def test_a_running_job_is_among_the_first_of_its_status(database: Database) -> None:
    ids = insert_many(database, 3)
    take(database, 1)
    with database.read() as c:
        assert progress.of_status(c, ids, JobStatus.RUNNING, 5) == ids[:1]
