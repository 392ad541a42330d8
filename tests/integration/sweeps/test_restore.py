"""`fitfleet restore`: an archived experiment is back as it was, on another database too."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from pyarrow import parquet
from sqlalchemy import select, update
from support.simulated_worker import StandIn, arguments, write_data, write_files
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.cli.main import app
from fitfleet.db.jobs import archive as source
from fitfleet.db.jobs import dependencies
from fitfleet.db.jobs import restore as rows_back
from fitfleet.db.schema import tables, views
from fitfleet.db.schema.tables import attempts, experiments, jobs
from fitfleet.db.session import Database
from fitfleet.db.specs import code, specs
from fitfleet.errors import NotFoundError, StateError, StorageError
from fitfleet.scheduler import removal as removing
from fitfleet.scheduler.archive import Archive
from fitfleet.settings import Settings, directory_settings
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.job import JobSpec

pytestmark = pytest.mark.filterwarnings("ignore:no fleet is running")

BOTH = ["sqlite", "postgresql"]
# What is written while jobs are in flight and means nothing after their end.
TRANSIENT = {"gang_slots", "memory_waits"}


@pytest.fixture
def databases(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Database]]:
    there: list[Database] = []

    def of(kind: str) -> Database:
        url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
        there.append(Database(str(url)))
        return there[-1]

    yield of
    for database in there:
        database.dispose()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    data = write_data(tmp_path)
    return data.replace(storage=str(tmp_path / "storage"), logs=str(tmp_path / "logs"))


def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = optuna.create_study(study_name="plain")
    rate = optuna.distributions.FloatDistribution(1e-4, 1, log=True)
    known.add_trial(
        optuna.trial.create_trial(
            params={"optimizer.learning_rate": 0.1},
            distributions={"optimizer.learning_rate": rate},
            value=0.5,
        )
    )
    return known


def loss(params: dict[str, Any], seed: int, epoch: int) -> float:
    return abs(math.log10(params.get("optimizer.learning_rate", 0.1)) + 2) + 1 / epoch


def experiment(fleet: ff.Fleet) -> list[ff.Job]:
    """A search with known points, a population, a job that has failed and a cancelled one."""
    plain = {"model": ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)]), "loss": "mse"}
    pbt = {"search": ff.pbt(population=2, perturbation_interval=2), "trials": None, "epochs": 4}
    sweeps = [
        fleet.sweep(**arguments(trials=2, name="known", points_from=study())),
        fleet.sweep(**arguments(name="grown", **plain, **pbt)),
    ]
    worker = StandIn(fleet.database, loss)
    for _ in range(4):
        for sweep in sweeps:
            sweep.submit()
        with fleet.database.begin() as c:
            dependencies.settle(c)
        worker.work()
    for sweep in sweeps:
        sweep.run()
    options = {"requires": {"gpu": "none"}, "experiment": "net", "seed": 5}
    fleet.submit(**plain, dataset="data.npz", **options).cancel()
    fleet.submit(**plain, dataset="data.npz", experiment="other")
    there = list(fleet.jobs("net"))
    write_files(fleet, there)
    fill(fleet, there)
    return there


def fill(fleet: ff.Fleet, there: list[ff.Job]) -> None:
    """Values in columns that no simulated worker writes."""
    there[0].tag("first", "é")
    there[0].write_note("worth a look")
    snapshot = Snapshot({"model.py": b"rate = 1\n"})
    digest = hashlib.sha256(b"x" * 1000).hexdigest()
    told = {"traceback": "Traceback ...", "log_tail": "epoch 1\n", "phases": "{}"}
    told |= {"environment": '{"keras": "3"}', "engine_reason": "why"}
    why = {"failure_traceback": "Traceback", "failure_message": "why", "nan_epoch": 2}
    query = specs.join(select(jobs.c.seed, jobs.c.fold, *specs.COLUMNS))
    with fleet.database.begin() as c:
        code.store(c, [(snapshot, "s" * 64)])
        row = c.execute(query.where(jobs.c.id == there[0].id)).one()
        spec = JobSpec.model_validate_json(specs.spec_of(row))
        specs.replace(c, there[0].id, spec.model_copy(update={"code": snapshot.sha256}))
        c.execute(update(attempts).values(**told))
        has_weights = jobs.c.artifact_path.is_not(None)
        c.execute(update(jobs).where(has_weights).values(artifact_sha256=digest))
        c.execute(update(jobs).where(jobs.c.id == there[1].id).values(**why))


def shown(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """What each view has of the experiment."""
    found = {}
    with database.read() as c:
        ids = set(c.scalars(select(jobs.c.id).join(experiments).where(experiments.c.name == "net")))
        for name, columns in views.COLUMNS.items():
            names = [column for column, _, _ in columns]
            rows = [tuple(row) for row in c.exec_driver_sql(f"SELECT * FROM {name}")]
            if "experiment" in names:
                rows = [row for row in rows if row[names.index("experiment")] == "net"]
            elif "job_id" in names:
                rows = [row for row in rows if row[names.index("job_id")] in ids]
            else:
                continue
            found[name] = sorted(rows, key=repr)
    return found


def archived_rows(settings: Settings, archive: Archive) -> dict[str, list[dict[str, Any]]]:
    """All rows of all files that are not views, without the numbers of experiment and sweeps."""
    rows = {}
    for name in source.TABLES.keys() - {"runs", "events"}:
        path = Path(settings.storage, archive.folder, f"{name}.parquet")
        hidden = {"experiment_id", "sweep_id"}
        if name in ("tables/experiments", "tables/sweeps"):
            hidden |= {"id"}
        if name == "tables/code_snapshots":
            hidden |= {"created_at"}
        table = parquet.read_table(path).to_pylist()
        rows[name] = sorted(
            ({k: v for k, v in row.items() if k not in hidden} for row in table), key=repr
        )
    return rows


@pytest.mark.parametrize("to", BOTH)
@pytest.mark.parametrize("of", BOTH)
def test_every_view_is_as_before_and_no_row_is_lost(
    of: str, to: str, databases: Callable[[str], Database], settings: Settings
) -> None:
    fleet = ff.Fleet(settings, databases(of))
    there = experiment(fleet)
    before = shown(fleet.database)
    assert {name for name, rows in before.items() if rows} == {
        *("runs", "curves", "groups", "leaderboard", "events", "lineage", "imported_points")
    }
    files = {p: p.read_bytes() for p in Path(settings.storage).rglob("*.h5")}
    done = fleet.archive("net")
    assert not any(shown(fleet.database).values()) and not any(path.exists() for path in files)
    other = fleet if of == to else ff.Fleet(settings, databases(to))
    restored = other.restore(done.folder.removeprefix(".archive/"))
    assert (restored.jobs, restored.shift, restored.missing) == (len(there), 0, [])
    assert restored.files == len(files) and restored.metrics == len(before["curves"])
    after = shown(other.database)
    if of == to:
        assert after == before
    else:  # the two write the third digit of a second differently
        assert without_times(after) == without_times(before)
    assert {p: p.read_bytes() for p in files} == files
    again = other.archive("net")
    assert archived_rows(settings, again) == archived_rows(settings, done)


def without_times(shown: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: sorted(
            (
                tuple(
                    value
                    for value, (_, kind, _) in zip(row, views.COLUMNS[name], strict=True)
                    if kind != "time"
                )
                for row in rows
            ),
            key=repr,
        )
        for name, rows in shown.items()
    }


def test_every_table_of_an_experiment_is_archived() -> None:
    """A new table is to be added to the archive, or to what means nothing after a job's end."""
    owners = {"experiments", "sweeps", "jobs"}
    of_experiment = {
        table.name
        for table in tables.metadata.tables.values()
        if {key.column.table.name for key in table.foreign_keys} & owners
    }
    kept = {name.removeprefix("tables/") for name in source.TABLES} | {"job_specs", "metrics"}
    assert of_experiment <= kept | TRANSIENT
    assert not kept & TRANSIENT


def test_numbers_that_are_taken_are_shifted(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_MAX_EPOCHS", 5)  # parts of one job
    fleet = ff.Fleet(settings, database)
    there = experiment(fleet)
    before = shown(database)
    done = fleet.archive("net")
    taken = there[1].id
    with database.begin() as c:  # as SQLite gives the numbers of the newest jobs again
        row = c.execute(select(jobs)).one()._asdict()
        c.execute(jobs.insert().values({**row, "id": taken, "rerun": 1}))
    restored = fleet.restore(done.folder)
    assert restored.shift > max(job.id for job in there) - there[0].id
    after = shown(database)
    assert [row[0] for row in after["runs"]] == sorted(
        (row[0] + restored.shift for row in before["runs"]), key=repr
    )
    assert len(after["curves"]) == len(before["curves"])
    job = fleet.job(there[0].id + restored.shift)
    assert job.weights_path.read_bytes() == b"x" * 1000
    assert f"/{job.id}/" in str(job.weights_path)
    fresh = fleet.submit(
        model=ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)]),
        **{"loss": "mse", "dataset": "data.npz", "experiment": "new"},
    )
    assert fresh.id > max(row[0] for row in after["runs"])


def test_names_that_are_taken_and_what_is_no_archive_are_refused(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    fleet = ff.Fleet(settings, database)
    experiment(fleet)
    done = fleet.archive("net")
    folder = Path(settings.storage, done.folder)
    fleet.restore(str(folder))
    before = shown(database)
    with pytest.raises(StateError, match="there is an experiment 'net'; archive or remove"):
        fleet.restore(done.folder)
    assert shown(database) == before and len(list(fleet.sweeps())) == 2
    with pytest.raises(NotFoundError, match=r"no .*\.archive/elsewhere/archive\.json"):
        fleet.restore("elsewhere")
    fleet.remove(experiment="net")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = min(path.name for path in (copy / "weights").iterdir())
    damage = {
        "curves.parquet": r"curves\.parquet is missing or is not what was archived",
        f"weights/{weights}": rf"{weights} is missing or is not what",
        "archive.json": r"archive\.json: is damaged, or written by a fitfleet that has other",
    }
    for name, message in damage.items():
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StorageError, match=message):
            fleet.restore(str(copy))
        (copy / name).write_bytes(whole)
    assert fleet.jobs("net") == [] and fleet.restore(str(copy)).shift == 0
    assert shown(database)["runs"] == before["runs"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("status", "QUEUED", "a job of the archive has not ended"),
        ("artifact_path", "../../etc/passwd", "is no path of a job's file"),
        ("content_hash", None, "cannot use database"),
    ],
)
def test_a_forged_archive_leaves_nothing(
    column: str, value: str | None, message: str, database: Database, settings: Settings
) -> None:
    fleet = ff.Fleet(settings, database)
    experiment(fleet)
    done = fleet.archive("net")
    folder = Path(settings.storage, done.folder)
    file = folder / "tables" / "jobs.parquet"
    table = parquet.read_table(file)
    rows = table.to_pylist()
    rows[0][column] = value
    parquet.write_table(table.from_pylist(rows, schema=table.schema), file)
    manifest = json.loads((folder / "archive.json").read_text())
    manifest["files"]["tables/jobs.parquet"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "archive.json").write_text(json.dumps(manifest))
    with pytest.raises(ff.FitfleetError, match=message):
        fleet.restore(done.folder)
    with database.read() as c:
        assert list(c.scalars(select(experiments.c.name))) == ["other"]
        assert list(c.scalars(select(tables.sweeps.c.name))) == []
    assert {path.name for path in Path(settings.storage).iterdir()} == {".archive"}


def test_half_a_restoration_is_not_seen_and_goes_after_an_hour(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = ff.Fleet(settings, database)
    experiment(fleet)
    done = fleet.archive("net")
    with monkeypatch.context() as patch:
        patch.setattr(rows_back, "end", lambda *_: (_ for _ in ()).throw(StateError("killed")))
        patch.setattr("fitfleet.scheduler.restore.remove_unnamed", lambda *_: None)
        with pytest.raises(StateError, match="killed"):
            fleet.restore(done.folder)
    assert not any(shown(database).values()) and [e["name"] for e in fleet.experiments()] == [
        "other"
    ]
    assert removing.finish(database, settings) == [], "it may still go on"
    with database.begin() as c:
        c.execute(update(experiments).values(created_at=experiments.c.created_at - 3601))
    assert removing.finish(database, settings) == ["net"]
    assert fleet.restore(done.folder).shift == 0


def test_the_scheduler_does_not_archive_at_once_what_was_restored(
    database: Database, settings: Settings
) -> None:
    fleet = ff.Fleet(settings, database)
    experiment(fleet)
    with database.begin() as c:
        is_net = jobs.c.finished_at.is_not(None)
        c.execute(update(jobs).where(is_net).values(finished_at=jobs.c.finished_at - 10**6))
        assert source.due(c, 86_400.0) == ["net"]
    fleet.restore(fleet.archive("net").folder)
    with database.begin() as c:
        assert source.due(c, 86_400.0) == []
        c.execute(update(tables.events).values(at=tables.events.c.at - 10**6))
        assert source.due(c, 86_400.0) == ["net"]


def test_the_command_restores(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    settings = write_data(tmp_path).replace(**directory_settings(folder))
    folder.mkdir()
    database = Database(settings.database_url)
    database.upgrade()
    with ff.Fleet(settings, database) as fleet:
        there = experiment(fleet)
        done = fleet.archive("net")
    place = ["--directory", str(folder), "--data-root", str(tmp_path)]
    result = CliRunner().invoke(app, ["restore", done.folder, *place])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert said.startswith(f"restored net: {len(there)} jobs, ") and done.folder in said
    refused = CliRunner().invoke(app, ["restore", done.folder, *place])
    assert refused.exit_code != 0 and "there is an experiment 'net'" in refused.output
