"""What the scheduler's service does with sweeps and with the disk."""

from __future__ import annotations

import dataclasses
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from support.rows import insert, new_job
from support.simulated_worker import StandIn, arguments, write_data, write_files

import fitfleet as ff
from fitfleet.db.schema.sweep_tables import sweeps
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.errors import FitfleetError, StateError, StorageError
from fitfleet.scheduler import retention
from fitfleet.scheduler.maintenance import Retention, SweepKeeper
from fitfleet.scheduler.orphans import Collected
from fitfleet.scheduler.retention import Policy
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.driving.sweep_rows import open_sweep

RATES = {"SGD": {"learning_rate": {"$space": "choice", "options": [0.1, 0.2]}}}
GRID = {"search": "grid", "trials": None, "optimizer": "sgd"}


@pytest.fixture
def settings(tmp_path: Path, database: Database) -> Settings:
    return write_data(tmp_path).replace(
        database_url=database.url.render_as_string(hide_password=False),
        storage=str(tmp_path / "storage"),
    )


@pytest.fixture
def fleet(settings: Settings, database: Database) -> ff.Fleet:
    return ff.Fleet(settings, database)


def collect(*given: Any, **options: Any) -> list[Collected]:
    """All of it."""
    return list(retention.collect(*given, **options))


def test_a_submitted_search_continues_without_its_script(
    fleet: ff.Fleet, database: Database, settings: Settings
) -> None:
    sweep = fleet.sweep(**arguments(trials=6, max_running=2)).submit()
    keeper, worker = SweepKeeper(settings), StandIn(database)
    for _ in range(60):
        keeper(database)
        worker.take(10)
        worker.epoch()
    assert sweep.progress.is_done and sweep.progress.complete == 6
    assert len(fleet.resume_sweep("net").trials()) == 6


def test_a_sweep_it_cannot_drive_is_left_alone(
    fleet: ff.Fleet, database: Database, settings: Settings
) -> None:
    fleet.sweep(**arguments(trials=6)).submit()
    blind = SweepKeeper(settings.replace(data_root="/nowhere"))
    for _ in range(3):
        blind(database)
    assert fleet.resume_sweep("net").progress.trials == 1


def test_a_budget_ends_a_sweep_whose_script_is_gone(
    fleet: ff.Fleet, database: Database, settings: Settings
) -> None:
    sweep = fleet.sweep(**arguments(trials=4, search="random", budget="1h")).submit()
    worker = StandIn(database)
    worker.take(1)
    blind = SweepKeeper(settings.replace(data_root="/nowhere"))
    blind(database)
    assert {job.status for job in sweep.jobs()} == {JobStatus.QUEUED, JobStatus.RUNNING}
    with database.begin() as c:
        c.execute(update(sweeps).values(ends_at=1.0))
    for _ in range(2):
        blind(database)
    rows = [job.row for job in sweep.jobs()]
    (running,) = [row for row in rows if row.status is JobStatus.RUNNING]
    assert running.request == "finish"
    others = {row.status for row in rows if row.id != running.id}
    assert others == {JobStatus.CANCELLED}
    kinds = [event["kind"] for event in fleet.job(running.id).events]
    assert kinds.count("budget") == 1
    trials = fleet.resume_sweep("net").trials()
    assert sorted(trials["state"]) == ["pending", "pruned", "pruned", "pruned"]
    assert set(trials["why"].dropna()) == {"budget"}


def builders(target: Path) -> dict[str, Any]:
    """Every form in which a stored sweep may name a function."""
    call = {"command": f"echo > {target}"}
    full = {"path": "os:system", "arguments": call}
    return {
        "full": full,
        "path": {"path": "os:system", **call},
        "builder": {"builder": "os:system", **call},
        "space": {"$space": "choice", "options": [full]},
        "inner space": {
            "$space": "choice",
            "options": [{"$space": "choice", "options": [{"builder": "os:system", **call}]}],
        },
        "text": "called_by_nobody:build",
    }


@pytest.mark.parametrize("form", list(builders(Path())))
def test_no_stored_sweep_makes_the_scheduler_call_a_function(
    form: str, database: Database, settings: Settings, tmp_path: Path
) -> None:
    model = builders(tmp_path / "called")[form]
    sweep_design = design(arguments(**GRID))
    job = {**sweep_design.job, "model": model, "optimizer": RATES}
    open_sweep(
        database, dataclasses.replace(sweep_design, job=job)
    )  # as who may write to the database
    SweepKeeper(settings)(database)
    assert not (tmp_path / "called").exists()
    # Nor does who resumes it.
    with suppress(FitfleetError):
        ff.Fleet(settings, database).resume_sweep("net").submit()
    assert not (tmp_path / "called").exists()


def test_a_sweep_that_nobody_can_read_stops_no_other(
    fleet: ff.Fleet, database: Database, settings: Settings
) -> None:
    with database.begin() as c:
        sweep_table.create(c, "strange", "strange", json.dumps({"job": 5}))
    sweep = fleet.sweep(**arguments(trials=2, max_running=2)).submit()
    keeper, worker = SweepKeeper(settings), StandIn(database)
    for _ in range(20):
        keeper(database)
        worker.take(10)
        worker.epoch()
    assert sweep.progress.is_done


def test_gc_keeps_the_best_and_says_what_goes(fleet: ff.Fleet, database: Database) -> None:
    sweep = fleet.sweep(**arguments(**GRID, repeats=2))
    sweep.submit()
    StandIn(database).work()
    write_files(fleet, sweep.jobs())
    dry = collect(database, fleet.settings, Policy(best=2), is_dry=True)
    assert [removed.size_bytes for removed in dry] == [1000] * 4
    assert all("not among the best 2" in removed.why for removed in dry)
    assert all(job.weights_path.exists() for job in sweep.jobs())
    gone = collect(database, fleet.settings, Policy(best=2))
    assert [removed.path for removed in gone] == [removed.path for removed in dry]
    left = [job for job in sweep.jobs() if job.row.artifact_path]
    assert {job.params["units"] for job in left} == {16}  # the best by val_loss
    assert all(job.weights_path.exists() for job in left)
    collected = next(job for job in sweep.jobs() if not job.row.artifact_path)
    with pytest.raises(StateError):
        collected.weights()
    assert len(collected.history) == 4
    assert collect(database, fleet.settings, Policy(best=2)) == []


def test_the_default_bounds_what_sweeps_leave(fleet: ff.Fleet, database: Database) -> None:
    sweep = fleet.sweep(**arguments(**GRID, repeats=4))
    sweep.submit()
    StandIn(database).work()
    write_files(fleet, sweep.jobs())
    keep = Retention(fleet.settings)
    keep(database)
    storage = Path(fleet.settings.storage)
    assert len(list(storage.rglob("*.h5"))) == fleet.settings.keep_best == 10
    write_files(fleet, sweep.jobs())
    keep(database)  # once an hour is enough
    assert len(list(storage.rglob("*.h5"))) == 12


def test_a_policy_without_weights_keeps_the_scores(fleet: ff.Fleet, database: Database) -> None:
    sweep = fleet.sweep(**arguments(**GRID)).submit()
    StandIn(database).work()
    write_files(fleet, sweep.jobs())
    assert len(collect(database, fleet.settings, Policy(best=0, checkpoint_days=0))) == 3
    assert list(Path(fleet.settings.storage).rglob("*.h5")) == []


def test_checkpoints_of_those_that_may_continue_stay_for_a_while(
    fleet: ff.Fleet, database: Database
) -> None:
    sweep = fleet.sweep(**arguments(**GRID)).submit()
    for job in sweep.jobs():
        job.cancel()
    write_files(fleet, sweep.jobs())
    assert collect(database, fleet.settings, Policy()) == []
    with database.begin() as c:
        c.execute(update(jobs).values(finished_at=jobs.c.finished_at - 8 * 86400))
    assert [removed.size_bytes for removed in collect(database, fleet.settings, Policy())] == [
        100
    ] * 3


def test_what_runs_or_was_submitted_alone_is_not_touched(
    fleet: ff.Fleet, database: Database
) -> None:
    sweep = fleet.sweep(**arguments(**GRID)).submit()
    StandIn(database).work()
    write_files(fleet, sweep.jobs())
    with database.begin() as c:
        c.execute(update(jobs).values(sweep_id=None))
    assert collect(database, fleet.settings, Policy(best=0, only_sweeps=True)) == []
    with database.begin() as c:
        c.execute(update(jobs).values(status=JobStatus.RUNNING))
    assert collect(database, fleet.settings, Policy(best=0)) == []


def test_adopted_weights_stay_while_anyone_needs_them(fleet: ff.Fleet, database: Database) -> None:
    sweep = fleet.sweep(**arguments(**GRID)).submit()
    StandIn(database).work()
    write_files(fleet, sweep.jobs())
    adopter = fleet.sweep(**arguments(**GRID, experiment="new", adopt=True)).submit()
    gone = collect(database, fleet.settings, Policy(best=0), experiment="net")
    assert [removed.size_bytes for removed in gone] == [0] * 3
    assert all(job.weights_path.exists() for job in adopter.jobs())
    assert (
        sum(removed.size_bytes for removed in collect(database, fleet.settings, Policy(best=0)))
        == 3000
    )


@pytest.mark.parametrize("column", ["artifact_path", "checkpoint_path"])
@pytest.mark.parametrize("way", ["up", "absolute", "link"])
def test_a_path_that_leaves_the_storage_is_neither_removed_nor_listed(
    way: str, column: str, fleet: ff.Fleet, database: Database, tmp_path: Path
) -> None:
    """The row of whoever may write to the database; it lets go of the path."""
    sweep = fleet.sweep(**arguments(**GRID)).submit()
    StandIn(database).work()
    write_files(fleet, sweep.jobs())
    storage = Path(fleet.settings.storage)
    victim = tmp_path / "outside" / "1" / "attempt-1.weights.h5"
    victim.parent.mkdir(parents=True)
    victim.write_bytes(b"precious")
    os.utime(victim, (0, 0))  # old enough for a file that no job points to
    (storage / "link").symlink_to(tmp_path / "outside")
    inner = "1/attempt-1.weights.h5"
    path = {"up": f"../outside/{inner}", "absolute": str(victim), "link": f"link/{inner}"}[way]
    with database.begin() as c:
        c.execute(update(jobs).values({column: path}))
    policy = Policy(best=0, checkpoint_days=0)
    for is_dry in (True, False):
        listed = [
            removed.path for removed in collect(database, fleet.settings, policy, is_dry=is_dry)
        ]
        assert not [name for name in listed if "outside" in name or "link" in name]
    assert victim.read_bytes() == b"precious"
    with database.read() as c:
        assert set(c.execute(select(jobs.c[column])).scalars()) == {None}


def test_files_that_nobody_knows_go_when_they_are_old(fleet: ff.Fleet, database: Database) -> None:
    stray = Path(fleet.settings.storage) / "net" / "77" / "attempt-1.weights.h5"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x" * 10)
    assert collect(database, fleet.settings, Policy()) == []
    os.utime(stray, (0, 0))
    (removed,) = collect(database, fleet.settings, Policy())
    assert removed.why == "no job points to it" and not stray.exists()


def test_data_that_no_job_names_goes_when_it_is_old(fleet: ff.Fleet, database: Database) -> None:
    x = np.zeros((8, 3), "f4")
    given = {"model": ff.Sequential([ff.layers.Dense(1)]), "loss": "mse", "optimizer": "sgd"}
    with pytest.warns(UserWarning, match="kept in the database"):
        job = fleet.submit(dataset=(x, x[:, :1]), **given)
    named = Path(fleet.settings.storage) / job.spec.dataset.path.removeprefix("storage:")
    strays = [named.with_name(f"{'0' * 64}.h5"), named.with_name(".half.tmp")]
    for stray in strays:
        stray.write_bytes(b"x" * 10)
    assert collect(database, fleet.settings, Policy()) == []
    for path in (named, *strays):
        os.utime(path, (0, 0))
    assert collect(database, fleet.settings, Policy(only_sweeps=True)) == []
    assert len(collect(database, fleet.settings, Policy(), is_dry=True)) == 2
    removed = collect(database, fleet.settings, Policy())
    assert [file.why for file in removed] == ["no job names this data"] * 2
    assert named.exists() and not any(stray.exists() for stray in strays)
    assert fleet.submit(dataset=(x, x[:, :1]), **given) == job and named.stat().st_mtime > 1


def test_a_storage_that_is_not_there(database: Database, settings: Settings) -> None:
    settings = settings.replace(storage=f"{settings.data_root}/not-mounted")
    (job,) = insert(database, new_job("a"))
    assert collect(database, settings, Policy(), is_dry=True) == []  # none was made yet
    with database.begin() as c:
        c.execute(jobs.update().where(jobs.c.id == job).values(artifact_path="digits/1/a.h5"))
    with pytest.raises(StorageError, match="doctor"):
        collect(database, settings, Policy(), is_dry=True)
