"""Upgrading: a fresh database gets the tables of the code, an old one keeps its rows.

`schemas/<revision>.<database>.sql` is a database as that revision left it, with rows. When a
table changes: add a migration to fitfleet/db/migrations/versions, and store the schema of the
revision it makes with `python tests/migration/store.py`.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from store import SCHEMAS, restore
from support.parts import sampled

from fitfleet.db.accounts import keys, users
from fitfleet.db.migrations import indexes
from fitfleet.db.migrations.migrate import alembic_config
from fitfleet.db.migrations.revisions import newest_version
from fitfleet.db.reading import lookup
from fitfleet.db.schema import views
from fitfleet.db.schema.tables import metadata, t_quantiles
from fitfleet.db.session import Database
from fitfleet.db.sweeps import lineage, trials
from fitfleet.settings import Settings
from fitfleet.states import JobStatus

REVISIONS = sorted({path.name.split(".")[0] for path in SCHEMAS.glob("*.sql")})


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.dispose()


def _differences(database: Database) -> list[object]:
    with database.read() as c, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = MigrationContext.configure(
            c, opts={"compare_type": True, "include_object": _is_comparable}
        )
        return list(compare_metadata(context, metadata))


def _is_comparable(_item: object, name: str | None, kind: str, *_: object) -> bool:
    """Indexes with DESC are told wrongly by SQLite; their names are looked at in another test."""
    return not (kind == "index" and name in ("ix_jobs_waiting", "ix_jobs_fuse"))


def _indexes(database: Database) -> dict[str, set[str | None]]:
    inspector = sa.inspect(database.engine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            table.name: {index["name"] for index in inspector.get_indexes(table.name)}
            for table in metadata.sorted_tables
        }


def test_the_migrations_make_the_tables_of_the_code(empty: Database) -> None:
    empty.upgrade()
    assert _differences(empty) == []
    with empty.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(t_quantiles)).scalar_one() == 999


def test_the_indexes_are_those_of_the_code(empty: Database) -> None:
    empty.upgrade()
    migrated = _indexes(empty)
    with empty.begin() as c:
        views.drop(c)
        metadata.drop_all(c)
        metadata.create_all(c)
    assert migrated == _indexes(empty)


def test_upgrading_twice_changes_nothing(empty: Database) -> None:
    empty.upgrade()
    empty.upgrade()
    empty.check_schema()
    assert sorted(sa.inspect(empty.engine).get_view_names()) == sorted(views.COLUMNS)


def _upgrade(url: str) -> None:
    database = Database(url)
    database.upgrade()
    database.dispose()


def test_several_processes_may_upgrade_at_once(empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_upgrade, args=(empty_url,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    database = Database(empty_url)
    database.check_schema()
    database.dispose()


def test_every_revision_has_a_stored_schema() -> None:
    revisions = {r.revision for r in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    for backend in ("sqlite", "postgresql"):
        stored = {path.name.split(".")[0] for path in SCHEMAS.glob(f"*.{backend}.sql")}
        assert stored == revisions, "store it with: python tests/migration/store.py"


@pytest.mark.parametrize("revision", sampled(REVISIONS, REVISIONS[0], REVISIONS[-1]))
def test_an_old_database_keeps_its_rows(revision: str, empty: Database) -> None:
    restore(empty, revision)
    assert empty.schema_version() == revision
    empty.upgrade()
    assert empty.schema_version() == newest_version()
    assert _differences(empty) == []
    with empty.read() as c:
        jobs = lookup.find_jobs(c)
        assert [job.status for job in jobs] == [JobStatus.SUCCEEDED, JobStatus.QUEUED]
        assert [point.value for point in lookup.curve(c, jobs[0].id)] == [2.0, 1.0]
        assert lookup.scores_of(c, [jobs[0].id]) == {jobs[0].id: {"test_loss": 0.5}}
        row = c.exec_driver_sql("SELECT * FROM runs WHERE job_id = 1").one()
    assert list(row._mapping) == [name for name, _, _ in views.COLUMNS["runs"]]
    assert (row.status, row.loss, row.test_loss, row.params) == (
        "SUCCEEDED",
        1.0,
        0.5,
        '{"units": 16}',
    )


def test_trials_of_an_old_sweep_keep_what_they_say(empty: Database) -> None:
    restore(empty, "0008")
    with empty.begin() as c:
        for statement in (
            "INSERT INTO sweeps (id, experiment_id, name, document, created_at)"
            " SELECT 1, min(id), 's', '{}', 0 FROM experiments",
            "INSERT INTO trials VALUES (1, 0, 'h', '{\"units\": 4}', '[]', NULL, 'median', 5.0)",
            "INSERT INTO trial_jobs (sweep_id, number, member, job_id, is_reused)"
            " VALUES (1, 0, 2, 1, false)",
        ):
            c.exec_driver_sql(statement)
    empty.upgrade()
    with empty.read() as c:
        (trial,), (run,) = trials.trials_of(c, 1), trials.replicates_of(c, 1)
    assert (trial.point, trial.pruned, trial.refused) == ({"units": 4}, "median", None)
    assert (run.number, run.replicate, run.job_id) == (0, 2, 1)


def test_trials_of_an_old_sweep_have_no_lineage(empty: Database) -> None:
    restore(empty, "0022")
    with empty.begin() as c:
        for statement in (
            "INSERT INTO sweeps (id, experiment_id, name, document, created_at)"
            " SELECT 1, min(id), 's', '{}', 0 FROM experiments",
            "INSERT INTO trials VALUES (1, 0, 'h', '{}', '[]', NULL, NULL, 5.0)",
        ):
            c.exec_driver_sql(statement)
    empty.upgrade()
    with empty.read() as c:
        assert [trial.descent for trial in trials.trials_of(c, 1)] == [None]
        assert lineage.of_sweep(c, "s") == []


def test_points_that_an_old_sweep_has_imported_are_in_the_view(empty: Database) -> None:
    restore(empty, "0022")
    point = {"source": "optuna:s", "trial": "4", "point": {"units": 8}, "values": [0.5, None]}
    point |= {"unused": "it has no value of the objective", "left_out": ["a: no value", "b: no"]}
    document = {"wanted": [{"name": "val_loss"}, {"name": "f1"}], "imported": [point]}
    with empty.begin() as c:
        for number, text in enumerate((json.dumps(document, sort_keys=True), '{"wanted": []}')):
            values = {"id": number, "name": f"s{number}", "document": text}
            c.execute(
                sa.text(
                    "INSERT INTO sweeps (id, experiment_id, name, document, created_at)"
                    " SELECT :id, min(id), :name, :document, 0 FROM experiments"
                ),
                values,
            )
    empty.upgrade()
    with empty.read() as c:
        (row,) = c.exec_driver_sql("SELECT * FROM imported_points").all()
    assert (row.sweep, row.number, row.source, row.source_trial) == ("s0", 0, "optuna:s", "4")
    assert row.params == '{"units": 8}' and row.objectives == '{"val_loss": 0.5, "f1": null}'
    assert (row.left_out, row.unused) == ("a: no value; b: no", "it has no value of the objective")


def test_every_old_database_gets_a_key_of_its_own(tmp_path: Path) -> None:
    seen = set()
    for number in range(2):
        database = Database(f"sqlite:///{tmp_path / f'{number}.db'}")
        restore(database, "0014")
        database.upgrade()
        with database.read() as c:
            seen.add(keys.message_key(c, Settings()))
        database.dispose()
    assert len(seen) == 2
    assert {len(key) for key in seen} == {64}


def test_experiments_of_an_old_database_are_of_nobody(empty: Database) -> None:
    restore(empty, "0014")
    empty.upgrade()
    with empty.read() as c:
        query = "SELECT DISTINCT user_name FROM runs"
        assert [row[0] for row in c.exec_driver_sql(query)] == [None]
        assert users.quotas(c) == []


@pytest.fixture
def old(empty_postgres_url: str) -> Iterator[Database]:
    """A database of the first revision on PostgreSQL."""
    database = Database(empty_postgres_url)
    restore(database, "0001")
    yield database
    database.dispose()


def test_no_migration_builds_an_index_of_an_old_table_in_its_transaction(old: Database) -> None:
    """The table could not be written to meanwhile: 6 s for a million jobs."""
    there = set(sa.inspect(old.engine).get_table_names())
    statements: list[str] = []
    sa.event.listen(
        old.engine, "before_cursor_execute", lambda _c, _k, text, *_: statements.append(text)
    )
    old.upgrade()
    built = [
        re.match(r"CREATE (UNIQUE )?INDEX (CONCURRENTLY )?\S+ ON (\S+)", s) for s in statements
    ]
    tables = {(match[3], match[2]) for match in built if match is not None}
    assert ("jobs", "CONCURRENTLY ") in tables
    assert {(table, how) for table, how in tables if table in there and how is None} == set()
    assert [s for s in statements if re.search(r"ALTER TABLE jobs .*(TYPE|SET NOT NULL)", s)] == []


def test_an_index_whose_build_was_cut_short_is_built_by_the_next_upgrade(old: Database) -> None:
    old.upgrade()
    before = _indexes(old)
    with old.begin() as c:
        c.exec_driver_sql("DROP INDEX ix_jobs_lease")
        c.exec_driver_sql(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_jobs_fuse'::regclass"
        )
        c.exec_driver_sql("CREATE INDEX ix_jobs_waiting_replaced ON jobs (status)")
    with old.read() as c:
        assert not indexes.is_complete(c)
    old.upgrade()
    with old.read() as c:
        assert indexes.is_complete(c)
    assert _indexes(old) == before


def test_an_upgrade_that_waits_for_a_reader_keeps_no_writer_waiting(old: Database) -> None:
    waits_s: list[float] = []
    thread = threading.Thread(target=old.upgrade)
    with old.read() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM jobs")
        thread.start()
        # The reader stays: an upgrade that kept its place in the line would hold up each writer.
        for _ in range(150):
            began = time.monotonic()
            with old.begin() as c:
                c.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
                c.exec_driver_sql("UPDATE jobs SET priority = 1 WHERE id = 2")
            waits_s.append(time.monotonic() - began)
            time.sleep(0.01)
        assert old.schema_version() == "0001"
    thread.join(60)
    assert old.schema_version() == newest_version()
    assert max(waits_s) > 0.2, "the upgrade never asked for its lock"
