"""Workers and jobs of several versions of fitfleet, and a database that was upgraded."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from support.rows import age, column, dispatch, insert, new_job, slots, status, take

from fitfleet.db.attempts import leases
from fitfleet.db.fleet import workers
from fitfleet.db.migrations.revisions import newest_version
from fitfleet.db.scheduling import reservations
from fitfleet.db.schema.tables import jobs, upgrades
from fitfleet.db.schema.tables import workers as worker_slots
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.scheduler.explain import explain
from fitfleet.settings import Settings
from fitfleet.spec.versions import READABLE_SINCE, installed, number_of, text_of
from fitfleet.states import JobStatus


def _need(database: Database, version: str, *job_ids: int) -> None:
    with database.begin() as c:
        statement = sa.update(jobs).where(jobs.c.id.in_(job_ids))
        c.execute(statement.values(min_version=number_of(version)))


def _serve(database: Database, **versions: str) -> None:
    """A worker service of each version."""
    with database.begin() as c:
        for service, version in versions.items():
            served = slots(1, service=service, pid=len(service))
            workers.register(c, [_of(slot, version) for slot in served])


def _of(slot: workers.Slot, version: str) -> workers.Slot:
    return workers.Slot(**{**slot.__dict__, "versions": {"fitfleet": version}})


@pytest.mark.parametrize(("text", "number"), [("1.2.3", 1_002_003), ("0.1.0", 1_000)])
def test_versions_are_numbers_that_compare(text: str, number: int) -> None:
    assert number_of(text) == number
    assert text_of(number) == text
    assert number_of(f"{text}rc1") == number


def test_a_job_carries_the_version_that_can_read_it(database: Database) -> None:
    (job_id,) = insert(database, new_job("a"))
    assert column(database, job_id, "min_version") == number_of(READABLE_SINCE)
    assert number_of(READABLE_SINCE) <= number_of(installed())


def test_what_no_worker_can_read_waits_and_says_so(database: Database, settings: Settings) -> None:
    _serve(database, old="1.4.0")
    newer, plain = insert(database, new_job("a"), new_job("b"))
    _need(database, "2.0.0", newer)
    assert [job_id for job_id, _ in dispatch(database, 2)] == [plain]
    explained = explain(database, settings, newer)
    assert "too_old" in [reason.kind for reason in explained.reasons]
    assert "pip install 'fitfleet>=2.0.0'" in str(explained) and "are of 1.4.0" in str(explained)
    assert explained.is_held and explained.starts_in_s is None
    _serve(database, newer="2.0.1")
    assert [job_id for job_id, _ in dispatch(database, 2)] == [newer]


def test_an_old_worker_leaves_a_message_that_it_cannot_read(database: Database) -> None:
    _serve(database, old="0.1.0", newer="9.0.0")
    (job_id,) = insert(database, new_job("a"))
    _need(database, "9.0.0", job_id)
    (message,) = dispatch(database, 1)
    with database.begin() as c:
        assert leases.claim(c, *message, "host:1:0", 60.0) is None
    assert status(database, job_id) is JobStatus.QUEUED
    assert column(database, job_id, "attempt") == 0
    assert dispatch(database, 1) == []  # others are given the time to take it
    with database.begin() as c:
        age(c, [job_id], 2.0)
    assert len(dispatch(database, 1)) == 1


def test_an_old_worker_takes_no_cohort_peers_that_it_cannot_read(database: Database) -> None:
    rows = [new_job(name, fuse_key="k") for name in ("a", "b", "c")]
    _, newer, plain = insert(database, *rows)
    _need(database, "9.0.0", newer)
    (leader,) = take(database)
    with database.begin() as c:
        assert [peer.job_id for peer in reservations.reserve(c, leader, 60.0, 9)] == [plain]


def test_the_versions_of_a_worker_are_reported(database: Database) -> None:
    _serve(database, mine=installed())
    with database.read() as c:
        row = c.execute(sa.select(worker_slots)).one()
    assert json.loads(row.versions) == {"fitfleet": installed()}
    assert row.version == number_of(installed())


def test_an_old_fitfleet_says_which_version_to_install(database: Database) -> None:
    with database.read() as c:
        assert c.execute(sa.select(upgrades.c.revision, upgrades.c.fitfleet)).all() == [
            (newest_version(), installed())
        ]
    with database.begin() as c:
        values = {"revision": "9999", "fitfleet": "7.1.0", "upgraded_at": 0.0}
        c.execute(upgrades.insert().values(values))
        c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for use in (database.check_schema, database.upgrade):
        with pytest.raises(DatabaseError, match=r"pip install fitfleet==7\.1\.0") as caught:
            use()
        assert "db upgrade" not in str(caught.value)
