"""Population-based training on both databases: generations, failures, drivers, SQL, bounds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.parts import quick
from support.rows import column
from support.simulated_worker import StandIn, arguments, write_data
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.cli.main import app
from fitfleet.db.jobs import dependencies
from fitfleet.db.reading import lookup
from fitfleet.db.session import Database
from fitfleet.db.sweeps import lineage
from fitfleet.errors import SearchError
from fitfleet.settings import Settings
from fitfleet.sweeps.design.design import Design, design
from fitfleet.sweeps.driving.driver import Driver, Progress
from fitfleet.sweeps.driving.sweep_rows import open_sweep

SIZE = 4


@pytest.fixture(params=quick(["sqlite", "postgresql"], "sqlite"))
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh database."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return write_data(tmp_path)


def population(**changes: Any) -> dict[str, Any]:
    """Arguments of a sweep: 4 members, 3 generations of 2 epochs."""
    model = ff.Sequential(
        [
            ff.layers.Input((4,)),
            ff.layers.Dense(4),
            ff.layers.Dropout(ff.uniform(0.0, 0.5)),
            ff.layers.Dense(1),
        ]
    )
    pbt = ff.pbt(population=SIZE, perturbation_interval=2)
    given = {"model": model, "epochs": 6, "search": pbt, "trials": None, "name": "grown"}
    return arguments(**{**given, **changes})


def driver(database: Database, settings: Settings, **changes: Any) -> Driver:
    sweep_design = design(population(**changes))
    return Driver(database, settings, open_sweep(database, sweep_design))


def loss(params: dict[str, Any], seed: int, epoch: int) -> float:
    return abs(math.log10(params["optimizer.learning_rate"]) + 2) + params["rate"] + 1 / epoch


def work(database: Database, worker: StandIn) -> None:
    """All that waits, to its end."""
    with database.begin() as c:
        dependencies.settle(c)
    worker.work()


def finish(database: Database, drive: Driver, **options: Any) -> Progress:
    worker = StandIn(database, **{"loss": loss, **options})
    for _ in range(20):
        progress = drive.step()
        if progress.is_done:
            return progress
        work(database, worker)
    raise AssertionError("the sweep does not end")


def rows(database: Database, name: str = "grown") -> list[dict[str, Any]]:
    with database.read() as c:
        return lineage.of_sweep(c, name)


def spec_of(database: Database, job_id: int) -> dict[str, Any]:
    with database.read() as c:
        documents = lookup.documents(c, job_id)
    assert documents is not None
    document: dict[str, Any] = json.loads(documents[0])
    return document


def test_a_generation_begins_when_the_one_before_has_ended(
    database: Database, settings: Settings
) -> None:
    drive, worker = driver(database, settings), StandIn(database, loss)
    for generation in range(3):
        progress = drive.step()
        assert (progress.trials, progress.jobs_open) == (SIZE * (generation + 1), SIZE)
        assert drive.step().jobs_open == SIZE  # a barrier: nothing more meanwhile
        work(database, worker)
    progress = drive.step()
    assert progress.is_done and progress.complete == progress.trials_wanted == 3 * SIZE


def test_the_worst_takes_over_from_the_best_and_the_others_continue(
    database: Database, settings: Settings
) -> None:
    drive = driver(database, settings)
    finish(database, drive)
    known = rows(database)
    by_place = {(row["generation"], row["member"]): row for row in known}
    for generation in (1, 2):
        values = {
            member: loss(by_place[generation - 1, member]["params"], 0, 2 * generation)
            for member in range(SIZE)
        }
        best, worst = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        for member in range(SIZE):
            row = by_place[generation, member]
            parent = by_place[generation - 1, best if member == worst else member]
            assert row["parent_job_id"] == parent["job_id"]
            assert row["is_exploited"] == int(member == worst)
            assert (row["params"] != parent["params"]) == (member == worst)
            changed = {name: change["to"] for name, change in row["changes"].items()}
            assert {**parent["params"], **changed} == row["params"]
            spec = spec_of(database, row["job_id"])
            assert (spec["seed"], spec["epochs"]) == (3 + member, 2 * generation + 2)
            assert spec["initial_weights"] == {
                "sha256": "",
                "of_job": column(database, parent["job_id"], "content_hash"),
                "match": "all",
                "form": "keras",
                "optimizer": True,
                "initial_epoch": 2 * generation,
            }


def test_all_members_of_all_generations_may_share_a_program(
    database: Database, settings: Settings
) -> None:
    finish(database, driver(database, settings))
    keys = {column(database, row["job_id"], "fuse_key") for row in rows(database)}
    assert len(keys) == 1 and None not in keys


def test_a_fresh_driver_for_each_step_makes_the_same_sweep(
    database: Database, settings: Settings
) -> None:
    finish(database, driver(database, settings, experiment="a", name="undisturbed"))
    worker = StandIn(database, loss)
    while not driver(database, settings, experiment="b", name="shot at").step().is_done:
        work(database, worker)
    left, right = rows(database, "undisturbed"), rows(database, "shot at")
    names = ("generation", "member", "trial", "parent_member", "is_exploited", "params", "changes")
    assert [[row[n] for n in names] for row in left] == [[row[n] for n in names] for row in right]
    hashes = [[column(database, r["job_id"], "content_hash") for r in run] for run in (left, right)]
    assert hashes[0] == hashes[1]


def test_a_failed_member_is_replaced(database: Database, settings: Settings) -> None:
    def broken(params: dict[str, Any], seed: int, epoch: int) -> float:
        return math.nan if seed == 4 and epoch <= 2 else loss(params, seed, epoch)

    nobody_else = ff.pbt(population=SIZE, perturbation_interval=2, quantile_fraction=0.0)
    drive = driver(database, settings, search=nobody_else)
    progress = finish(database, drive, loss=broken)
    assert (progress.failed, progress.complete) == (1, 11)
    exploited = [(r["generation"], r["member"]) for r in rows(database) if r["is_exploited"]]
    assert exploited == [(1, 1)]


def test_without_a_survivor_the_sweep_ends(database: Database, settings: Settings) -> None:
    progress = finish(database, driver(database, settings), loss=lambda *_: math.nan)
    assert progress.is_done and (progress.trials, progress.failed) == (SIZE, SIZE)


def test_the_weights_of_the_last_generation_are_kept_for_the_next(
    database: Database, settings: Settings
) -> None:
    drive, worker = driver(database, settings), StandIn(database, loss)
    for generation in range(3):
        drive.step()
        work(database, worker)
        with database.read() as c:
            needed = dependencies.needed_parents(c)
        expected = {r["job_id"] for r in rows(database) if r["generation"] == generation}
        assert needed == expected
    drive.step()
    with database.read() as c:
        assert dependencies.needed_parents(c) == set()


def test_the_design_is_stored_and_read(settings: Settings) -> None:
    sweep_design = design(population())
    assert Design.from_json(sweep_design.to_json()) == sweep_design
    assert sweep_design.options == {"fuse": False} and sweep_design.trials == 12
    written = {"name": "pbt", "population": SIZE, "perturbation_interval": 2}
    assert design(population(search=written)) == sweep_design


@pytest.mark.slow
def test_the_plan_shows_the_first_generation(database: Database, settings: Settings) -> None:
    fleet = ff.Fleet(settings.replace(database_url=str(database.url)), database)
    plan = fleet.sweep(**population()).plan()
    assert plan.jobs == SIZE and "8 jobs of others follow" in plan.summary()[-1]
    fleet.sweep(**population()).submit()
    assert fleet.sweep(**population()).plan().jobs == 0


def test_handles_and_the_command_line_show_the_lineage(sqlite_url: str, settings: Settings) -> None:
    database = Database(sqlite_url)
    with ff.Fleet(settings.replace(database_url=sqlite_url), database) as fleet:
        finish(database, driver(database, settings))
        sweep = fleet.resume_sweep("grown")
        table, known = sweep.lineage(), rows(database)
        assert table["job_id"].tolist() == [row["job_id"] for row in known]
        life = sweep.jobs()[-1].lineage
        assert life["generation"].tolist() == [0, 1, 2]
        assert life["job_id"].tolist()[:-1] == life["parent_job_id"].tolist()[1:]
        place = ["--database-url", sqlite_url]
        told = CliRunner().invoke(app, ["lineage", "grown", "--json", *place])
        assert told.exit_code == 0, told.output
        assert [row["job_id"] for row in json.loads(told.stdout)] == table["job_id"].tolist()
        shown = CliRunner().invoke(app, ["lineage", "grown", *place])
        assert shown.exit_code == 0 and "parent_member" in shown.stdout
        page = CliRunner().invoke(app, ["show", str(life["job_id"].iloc[-1]), *place])
        first, second, _ = life["job_id"]
        assert f"job {second}, which continues job {first}" in page.stdout


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"search": "pbt"}, "needs a population"),
        ({"search": {"name": "pbt", "population": 4}}, "missing .*perturbation_interval"),
        ({"search": {"name": "tpe"}}, "neither a name nor"),
        ({"trials": 5}, "trials: .* leave trials out"),
        ({"repeats": 3}, "repeats: .* another seed and name"),
        ({"folds": 3}, "folds: "),
        ({"pruner": "median"}, "pruner: "),
        ({"objective": ["val_loss", "seconds"]}, "objective: "),
        ({"adopt": True}, "adopt: "),
        ({"shrink_on_oom": True}, "shrink_on_oom: "),
        ({"initial_epoch": 1}, "initial_epoch: .* leave it out"),
        ({"epochs": 2}, "perturbation_interval: .* give more epochs"),
        ({"epochs": ff.choice([4, 6])}, "epochs: with pbt it is one number"),
        ({"seed": ff.choice([1, 2])}, "seed: with pbt it is one number"),
        (
            {"optimizer": ff.choice([{"Adam": {"learning_rate": ff.uniform(0.1, 1)}}, "sgd"])},
            "of some members only",
        ),
    ],
)
def test_what_a_population_cannot_have(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SearchError, match=says):
        design(population(**changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": arguments()["model"]}, "units=8 do not fit those of units=4"),
        ({"optimizer": ff.choice(["adam", "sgd"])}, "optimizer='sgd'"),
        (
            {"optimizer": {"SGD": {"momentum": ff.choice([0.0, 0.9])}}},
            "optimizer.momentum=0.9",
        ),
    ],
)
def test_weights_must_fit_those_of_the_others(
    changes: dict[str, Any], says: str, sqlite_url: str, settings: Settings
) -> None:
    database = Database(sqlite_url)
    with pytest.raises(SearchError, match=says):
        driver(database, settings, **changes).step()
    assert rows(database) == []
    database.dispose()
