"""Drivers of sweeps on both databases: death, rivals, repeats, folds, pruning, racing, adoption."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.rows import column, register
from support.simulated_worker import StandIn, arguments, loss_of, write_data

import fitfleet as ff
from fitfleet.analysis.frames import trials_frame
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.schema.tables import experiments
from fitfleet.db.session import Database
from fitfleet.db.sweeps import trials as trial_table
from fitfleet.errors import FitfleetError, SearchError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.driving.driver import Driver, Progress
from fitfleet.sweeps.driving.sweep_rows import open_sweep

NARROW = {"search": "grid", "trials": None, "optimizer": "sgd"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return write_data(tmp_path)


def driver(database: Database, settings: Settings, **changes: Any) -> Driver:
    return Driver(database, settings, open_sweep(database, design(arguments(**changes))))


def finish(database: Database, drive: Driver, **options: Any) -> Progress:
    worker = StandIn(database, **options)
    for _ in range(200):
        progress = drive.step()
        if progress.is_done:
            return progress
        worker.take(1000)
        worker.epoch()
    raise AssertionError("the sweep does not end")


def points(drive: Driver) -> list[str]:
    return [str(row.point) for row in drive.results.rows]


def test_a_grid_with_repeats_is_queued_at_once(database: Database, settings: Settings) -> None:
    drive = driver(database, settings, **NARROW, repeats=3)
    progress = drive.step()
    assert (progress.trials, progress.jobs_open) == (3, 9)
    assert finish(database, drive).complete == 3
    replicates = [m for jobs in drive.results.replicates.values() for m in jobs]
    assert sorted(m.seed for m in replicates) == [3] * 3 + [4] * 3 + [5] * 3
    groups = {column(database, m.job_id, "group_hash") for m in replicates}
    assert len(groups) == 3
    assert column(database, replicates[0].job_id, "params") == '{"units": 4}'


def test_folds_are_jobs_of_one_group(database: Database, settings: Settings) -> None:
    drive = driver(database, settings, **NARROW, repeats=2, folds={"kind": "kfold", "k": 3})
    drive.step()
    for replicates in drive.results.replicates.values():
        assert [(m.seed, m.fold) for m in replicates] == [
            (3 + r, f) for r in (0, 1) for f in range(3)
        ]
        assert len({column(database, m.job_id, "group_hash") for m in replicates}) == 1
        assert len({column(database, m.job_id, "content_hash") for m in replicates}) == 6


@pytest.mark.parametrize(
    ("folds", "says"),
    [(65, "from 2 to 64 rows"), ({"kind": "group", "k": 3}, "needs labels")],
)
def test_folds_that_cannot_be_are_refused(
    database: Database, settings: Settings, folds: Any, says: str
) -> None:
    with pytest.raises(SearchError, match=says):
        driver(database, settings, **NARROW, folds=folds).step()


def test_a_search_suggests_while_workers_are_free(database: Database, settings: Settings) -> None:
    register(database, 4)
    drive = driver(database, settings)
    assert drive.step().jobs_open == 5  # one a slot, and one that is next
    assert drive.step().jobs_open == 5
    assert finish(database, drive).complete == 12
    assert len(set(points(drive))) == 12


def test_a_driver_that_dies_is_followed_by_one_that_suggests_the_same(
    database: Database, settings: Settings
) -> None:
    first = driver(database, settings, max_running=2, name="undisturbed", experiment="a")
    finish(database, first)
    worker = StandIn(database)
    while True:  # a fresh driver for every single step
        drive = driver(database, settings, max_running=2, name="shot at", experiment="b")
        if drive.step().is_done:
            break
        worker.take(1000)
        worker.epoch()
    assert points(drive) == points(first)
    assert len(worker.started) == len(set(worker.started)) == 12


def _drive(url: str, settings: Settings, barrier: Any, answers: Any) -> None:
    database = Database(url)
    drive = Driver(database, settings, open_sweep(database, design(arguments(trials=20))))
    worker = StandIn(database)
    barrier.wait()
    while not drive.step().is_done:
        worker.take(1)
        worker.epoch()
    answers.put((points(drive), worker.started))


def test_three_drivers_at_once_take_no_point_twice(
    database_url: str, database: Database, settings: Settings
) -> None:
    register(database, 3)
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_drive, args=(database_url, settings, barrier, answers))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    results = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert all(asked == results[0][0] for asked, _ in results)
    assert len(set(results[0][0])) == 20
    started = [job_id for _, jobs in results for job_id in jobs]
    assert len(started) == len(set(started)) == 20


def test_a_bad_point_is_refused_and_the_others_continue(
    database: Database, settings: Settings
) -> None:
    model = ff.Sequential(
        [ff.layers.Input((4,)), ff.layers.Dense(ff.choice([4, 0, 8])), ff.layers.Dense(1)]
    )
    drive = driver(database, settings, **NARROW, model=model)
    progress = finish(database, drive)
    assert (progress.complete, progress.refused) == (2, 1)
    refused = next(row for row in drive.results.rows if row.refused)
    assert refused.point == {"units": 0} and "units" in str(refused.refused)


def test_when_all_points_are_bad_it_says_so_and_frees_the_name(
    database: Database, settings: Settings
) -> None:
    with pytest.raises(SearchError, match=r"all of the \d+ points tried are refused.*nowhere"):
        driver(database, settings, dataset="nowhere.npz").step()
    assert finish(database, driver(database, settings, trials=2)).complete == 2


def test_an_unknown_objective_queues_nothing(database: Database, settings: Settings) -> None:
    drive = driver(database, settings, objective="val_acuracy", direction="maximize")
    with pytest.raises(SearchError, match="there are loss, val_loss"):
        drive.step()
    drive.results.read(database, 1)
    assert drive.results.rows == []


def test_a_name_belongs_to_one_design(database: Database, settings: Settings) -> None:
    driver(database, settings).step()
    with pytest.raises(SearchError, match="exists with another design"):
        driver(database, settings, trials=13)


def test_what_was_run_before_is_not_run_again(database: Database, settings: Settings) -> None:
    finish(database, driver(database, settings, **NARROW))
    wider = {**NARROW, "repeats": 2, "name": "with repeats"}
    drive = driver(database, settings, **wider)
    assert drive.step().jobs_open == 3
    reused = [m.is_reused for jobs in drive.results.replicates.values() for m in jobs]
    assert reused == [True, False] * 3


def test_another_experiment_adopts_what_is_finished(database: Database, settings: Settings) -> None:
    finish(database, driver(database, settings, **NARROW))
    drive = driver(database, settings, **NARROW, experiment="new", adopt=True)
    progress = drive.step()
    assert progress.is_done and progress.complete == 3
    for replicates in drive.results.replicates.values():
        source = column(database, replicates[0].job_id, "adopted_from")
        assert column(database, source, "experiment_id") != column(
            database, replicates[0].job_id, "experiment_id"
        )
        assert drive.results.curves[replicates[0].job_id].keys() == {1, 2, 3, 4}


def test_a_failed_or_diverged_trial_is_no_value(database: Database, settings: Settings) -> None:
    def loss(params: dict[str, Any], seed: int, epoch: int) -> float:
        return float("nan") if params["units"] == 8 else loss_of(params, seed, epoch)

    drive = driver(database, settings, **NARROW)
    progress = finish(database, drive, loss=loss)
    assert (progress.complete, progress.failed) == (2, 1)
    failed = trials_frame(drive.results).query("state == 'failed'")
    assert failed["why"].str.fullmatch(r"job \d+: the loss became NaN").all()


def test_the_pruner_ends_poor_trials_and_they_can_be_taken_up(
    database: Database, settings: Settings
) -> None:
    drive = driver(
        database,
        settings,
        pruner={"name": "median", "n_startup_trials": 3},
        trials=16,
        epochs=6,
        max_running=2,
    )
    progress = finish(database, drive)
    assert progress.pruned >= 3 and progress.complete + progress.pruned == 16
    pruned = next(t for t in drive.results.trials() if t.state == "pruned")
    replicate = drive.results.replicates[pruned.number][0]
    assert replicate.status is JobStatus.PRUNED and 0 < replicate.epoch < 6
    assert len(drive.results.curves[replicate.job_id]) == replicate.epoch
    with database.begin() as c:
        assert job_table.retry(c, replicate.job_id)
    again = finish(database, drive)
    assert again.complete == progress.complete + 1
    trials = trials_frame(drive.results).set_index("trial")
    assert trials.state[pruned.number] == "complete" and trials.why.isna()[pruned.number]
    assert trials.why[trials.state == "pruned"].eq("median pruner").all()


def test_pruning_cancels_the_repeats_that_wait(database: Database, settings: Settings) -> None:
    drive = driver(database, settings, **NARROW, repeats=3)
    drive.step()
    worker = StandIn(database)
    worker.take(1)
    with database.begin() as c:
        assert trial_table.prune(c, 1, 0, "test")
        assert not trial_table.prune(c, 1, 0, "test")
    worker.epoch()
    drive.results.read(database, 1)
    states = [m.status for m in drive.results.replicates[0]]
    assert states == [JobStatus.PRUNED, JobStatus.CANCELLED, JobStatus.CANCELLED]
    assert drive.results.trials()[0].state == "pruned"


def test_a_race_gives_more_repeats_to_those_that_may_win(
    database: Database, settings: Settings
) -> None:
    def loss(params: dict[str, Any], seed: int, epoch: int) -> float:
        level = {4: 0.1, 8: 0.1001, 16: 5.0}[params["units"]]
        return level + ((seed * 7919 + params["units"]) % 13) / 1000 + 1 / epoch

    drive = driver(database, settings, **NARROW, repeats="3..6")
    progress = finish(database, drive, loss=loss)
    assert progress.complete == 3
    repeats = [len(drive.results.replicates[number]) for number in range(3)]
    assert repeats[2] == 3 and repeats[0] == repeats[1] == 6


def test_a_limit_goes_with_its_sweep(database: Database, settings: Settings) -> None:
    def limit() -> Any:
        with database.read() as c:
            return c.execute(select(experiments.c.max_running)).scalar()

    first = driver(database, settings, **NARROW, max_running=2, name="first")
    second = driver(database, settings, **NARROW, max_running=3, name="second", epochs=2)
    finish(database, first)
    assert limit() == 3
    finish(database, second)
    assert limit() is None
    driver(database, settings, **NARROW, max_running=2, name="first")  # to look at it
    assert limit() is None


@pytest.mark.slow
def test_a_large_grid_is_written_in_batches(sqlite_url: str, settings: Settings) -> None:
    database = Database(sqlite_url)
    drive = driver(
        database, settings, search="grid", trials=None, optimizer="sgd", seed=ff.integers(0, 499)
    )
    assert drive.step().trials == 200
    while (progress := drive.step()).trials < 1500:
        pass
    assert progress.jobs_open == 1500
    database.dispose()


def test_every_refusal_is_a_fitfleet_error() -> None:
    for changes in ({"search": "x"}, {"trials": None}, {"model": None}):
        with pytest.raises(FitfleetError):
            sweep_design = design(arguments(**changes))
            from fitfleet.sweeps.search.search import make_search

            make_search(
                "tpe", sweep_design.job, trials=sweep_design.trials, seed=0, directions=["minimize"]
            )
