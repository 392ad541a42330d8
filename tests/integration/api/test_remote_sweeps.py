"""Sweeps, pictures, exports and tasks by the API are those by the database, checked and counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from clients import MakeClient, MakeToken, write_line
from support.rows import commit, take
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.api.serve import ApiServer
from fitfleet.cli.main import app
from fitfleet.client.remote.connection import Connection
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Scope
from fitfleet.db.attempts import metrics
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.schema.tables import tokens as access_tokens
from fitfleet.errors import (
    AccessError,
    DatasetError,
    FitfleetError,
    NotFoundError,
    QuotaError,
    SearchError,
    SpecError,
)
from fitfleet.scheduler.maintenance import SweepKeeper
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.design.documents import received, sent

pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")


def model(units: Any = 3) -> Any:
    layers = [ff.layers.Input((4,)), ff.layers.Dense(units), ff.layers.Dense(1)]
    return ff.Sequential(layers)


SWEEP: dict[str, Any] = {
    "model": model(ff.choice([2, 3])),
    "dataset": "line.npz",
    "optimizer": {"class_name": "SGD", "config": {"learning_rate": ff.choice([0.1, 0.01])}},
    "loss": "mse",
    "validation_split": 0.25,
    "epochs": 2,
    "search": "grid",
    "repeats": 2,
    "experiment": "swept",
}
DESIGNS: dict[str, dict[str, Any]] = {
    "grid": {},
    "race": {"search": "random", "trials": 3, "repeats": "2..4", "budget": "2h"},
    "folds": {"folds": {"kind": "kfold", "k": 3}, "pruner": "median", "max_running": 2},
    "several": {"objective": ["val_loss", "seconds"], "at": "best", "adopt": True, "priority": 3},
    "one": {"repeats": 1, "direction": "maximize", "seed": 7, "name": "mine"},
    "datasets": {"dataset": {"path": ff.choice(["line.npz", "other.npz"]), "x": "x_train"}},
    "population": {
        "search": ff.pbt(population=2, perturbation_interval=1),
        "repeats": 1,
        "epochs": 4,
    },
}


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_a_design_comes_to_the_same_on_the_other_side(name: str) -> None:
    sweep_design = design({**SWEEP, **DESIGNS[name]})
    assert received(**sent(sweep_design)) == sweep_design


def trained(fleet: ff.Fleet, values: dict[int, float]) -> None:
    """Let workers end all that waits, with these values by the units of the model."""
    while claims := take(fleet.database, 50):
        for claim in claims:
            (job,) = [job for job in fleet.jobs("swept") if job.id == claim.job_id]
            value = values[job.params["units"]] + job.params["optimizer.learning_rate"] + job.seed
            log = {"loss": value, "val_loss": value}
            with fleet.database.begin() as c:
                metrics.record(c, [EpochMetrics(claim, n, log) for n in (1, 2)])
                commit(c, claim, epoch=2, seconds=1.0)


@pytest.fixture
def swept(fleet: ff.Fleet, client: MakeClient) -> Iterator[tuple[ff.Fleet, Any]]:
    """A client whose sweep has ended, and the sweep."""
    remote = client()
    sweep = remote.sweep(**SWEEP).submit()
    trained(fleet, {2: 3.0, 3: 1.0})
    yield remote, sweep


def test_a_sweep_is_that_of_the_database(fleet: ff.Fleet, swept: tuple[ff.Fleet, Any]) -> None:
    remote, mine = swept
    theirs = fleet.sweep(**SWEEP)
    assert mine.design == theirs.design
    assert theirs.submit().progress == mine.progress  # the same name, and nothing new
    assert mine.run(timeout_s=60).progress.is_done
    for again in (mine, remote.resume_sweep("swept")):
        assert (again.best_trial, again.best_params) == (theirs.best_trial, theirs.best_params)
        assert again.best.id == theirs.best.id
        assert [job.row for job in again.jobs()] == [job.row for job in theirs.jobs()]
        pd.testing.assert_frame_equal(again.trials(), theirs.trials(), check_exact=True)
        pd.testing.assert_frame_equal(again.lineage(), theirs.lineage(), check_exact=True)
        for how in ({}, {"by": "units"}, {"where": "units > 2", "top": 1}):
            pd.testing.assert_frame_equal(
                again.compare(**how), theirs.compare(**how), check_exact=True
            )
        assert again._repr_html_() == theirs._repr_html_()
    assert [sweep.name for sweep in remote.sweeps()] == ["swept"]
    assert remote.sweeps()[0].design == fleet.sweeps()[0].design
    with pytest.raises(NotFoundError, match="nothing: no such sweep; there are swept"):
        remote.resume_sweep("nothing")
    with pytest.raises(SearchError, match="'swept' exists with another design"):
        remote.sweep(**{**SWEEP, "epochs": 3}).submit()


@pytest.mark.slow  # Keras builds the models
def test_a_plan_says_what_the_database_would(fleet: ff.Fleet, client: MakeClient) -> None:
    mine, theirs = client().sweep(**SWEEP).plan(), fleet.sweep(**SWEEP).plan()
    assert (mine.points, mine.jobs, mine.summary()) == (theirs.points, 8, theirs.summary())
    assert fleet.jobs() == []


def test_exports_and_pictures_are_made_at_the_client(
    fleet: ff.Fleet, swept: tuple[ff.Fleet, Any], tmp_path: Path
) -> None:
    remote, mine = swept
    theirs = fleet.resume_sweep("swept")
    pairs = [(mine.export, theirs.export), (remote.export("swept"), fleet.export("swept"))]
    for ours, direct in pairs:
        pd.testing.assert_frame_equal(ours.to_pandas(), direct.to_pandas(), check_exact=True)
        pd.testing.assert_frame_equal(ours.curves(), direct.curves(), check_exact=True)
    one, other = mine.export.to_csv(tmp_path / "a.csv"), theirs.export.to_csv(tmp_path / "b.csv")
    assert one.read_bytes() == other.read_bytes()
    for kind in ("curves", "slice", "box", "timeline"):
        assert getattr(mine.plot, kind)(tmp_path / f"{kind}.svg").stat().st_size > 1_000
        assert getattr(remote.plot("swept"), kind)(tmp_path / f"e-{kind}.svg").is_file()
    ranked = remote.rank("swept", by="units", where="units > 2")
    pd.testing.assert_frame_equal(ranked, fleet.rank("swept", by="units", where="units > 2"))
    assert remote.disk_usage() == fleet.disk_usage()


def test_data_of_the_client_are_uploaded(
    fleet: ff.Fleet, client: MakeClient, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    data = (rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 1)))
    remote = client()
    of_arrays = remote.sweep(**{**SWEEP, "dataset": data, "name": "arrays"}).submit()
    direct = fleet.sweep(**{**SWEEP, "dataset": data, "name": "direct"}).submit()
    assert [job.id for job in of_arrays.jobs()] == [job.id for job in direct.jobs()]
    write_line(tmp_path / "client" / "own.npz", scale=2.0)
    paths = {"path": ff.choice(["own.npz", "line.npz"]), "x": "x_train"}
    of_paths = remote.sweep(**{**SWEEP, "dataset": paths, "name": "paths"}).submit()
    assert of_paths.progress.refused == 0
    used = {job.spec.dataset.path for job in of_paths.jobs()}
    assert "line.npz" in used and any(path.startswith("storage:datasets/") for path in used)


def test_the_commands_of_sweeps_go_by_the_api(
    fleet: ff.Fleet, server: ApiServer, token: MakeToken, tmp_path: Path
) -> None:
    environment = {"FITFLEET_URL": server.url, "FITFLEET_TOKEN": token()}

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, list(words), env=environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    config = model().to_layer()
    rates = {"class_name": "SGD", "config": {"learning_rate": {"choice": [0.1, 0.01]}}}
    plain = {"model": config, "dataset": "line.npz", "optimizer": rates, "loss": "mse"}
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps({**plain, "search": "grid", "objective": "loss", "name": "filed"}))
    assert "2 jobs queued" in run("submit", str(file))
    (listed,) = json.loads(run("sweeps", "--json"))
    assert (listed["sweep"], listed["jobs_open"]) == ("filed", 2)
    run("export-runs", "filed", "csv", str(tmp_path / "filed.csv"))
    assert len((tmp_path / "filed.csv").read_text().splitlines()) == 3
    run("export-runs", "default", "csv", str(tmp_path / "default.csv"))
    run("lineage", "filed")


REFUSED: dict[str, tuple[dict[str, Any], type[FitfleetError]]] = {
    "dataset": ({"dataset": "/etc/passwd.npz"}, DatasetError),
    "option": (
        {"dataset": {"path": {"$space": "choice", "options": ["line.npz", "/etc/x.npz"]}}},
        DatasetError,
    ),
    "files": ({"dataset": {"files": {"x": "/etc/x.npy", "y": "y.npy"}}}, DatasetError),
    "model": ({"model": "/etc/model.json"}, SpecError),
    "models": ({"model": {"$space": "choice", "options": ["/etc/a.yaml", "m:f"]}}, SpecError),
    "code": ({"code": ["/etc"]}, SpecError),
    "weights": ({"initial_weights": "/etc/a.weights.h5"}, SpecError),
    "init_from": ({"init_from": "/etc/a.weights.h5"}, SpecError),
    "nothing": ({"search": "guess"}, SearchError),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_made_up_design_opens_no_file_of_the_server(
    name: str, fleet: ff.Fleet, server: ApiServer, token: MakeToken
) -> None:
    change, kind = REFUSED[name]
    given = sent(design(SWEEP))
    given["arguments"] |= change
    with pytest.raises(kind) as refused:
        Connection(server.url, token()).post("/v1/sweeps", **given)
    assert "\n" not in str(refused.value)
    assert fleet.sweeps() == [] and fleet.jobs() == []


def test_a_sweep_of_absolute_paths_is_stepped_by_its_script_only(
    fleet: ff.Fleet, client: MakeClient, tmp_path: Path
) -> None:
    path = write_line(tmp_path / "elsewhere.npz")
    fleet.sweep(**{**SWEEP, "dataset": str(path)}).submit()
    with pytest.raises(DatasetError, match="is absolute"):
        client("ana", Scope.ADMIN).resume_sweep("swept").run(timeout_s=1)


def test_a_sweep_is_of_its_user_and_counts_for_the_token(
    fleet: ff.Fleet, client: MakeClient, server: ApiServer, token: MakeToken
) -> None:
    client("ana").sweep(**SWEEP).submit()
    bob = client("bob")
    with pytest.raises(AccessError, match="'swept' is of ana"):
        bob.sweep(**{**SWEEP, "name": "bobs"}).submit()
    with pytest.raises(AccessError, match="'swept' is of ana"):
        bob.resume_sweep("swept").run(timeout_s=60)
    assert [sweep.name for sweep in fleet.sweeps()] == ["swept"]
    assert bob.resume_sweep("swept").progress.trials == 4
    few = ff.connect(server.url, token=token("eve", max_jobs=3))
    with pytest.raises(QuotaError, match="may have 3"):
        few.sweep(**{**SWEEP, "name": "eves", "experiment": "eves"}).submit()
    assert fleet.jobs("eves") == []


def test_the_scheduler_continues_within_the_quota_and_until_the_token_ends(
    fleet: ff.Fleet, server: ApiServer, token: MakeToken
) -> None:
    given = token("eve", max_jobs=3)
    remote = ff.connect(server.url, token=given)
    sweep = remote.sweep(**{**SWEEP, "search": "random", "trials": 9})
    with pytest.raises(QuotaError):
        sweep.submit()
    keeper = SweepKeeper(fleet.settings)
    keeper(fleet.database)
    assert fleet.jobs("swept") == []
    with fleet.database.begin() as c:
        c.execute(sa.update(access_tokens).values(max_jobs=100))
    keeper(fleet.database)  # what was refused is asked for again
    assert len({job.row.content_hash for job in fleet.jobs("swept")}) > 3
    later = design({**SWEEP, "name": "later", "experiment": "later"})
    Connection(server.url, given).post("/v1/sweeps", **sent(later))
    with fleet.database.begin() as c:
        tokens.revoke(c, given.split("_")[1])
    SweepKeeper(fleet.settings)(fleet.database)
    assert fleet.jobs("later") == []
    fleet.resume_sweep("later").submit()  # its admin may
    assert len(fleet.jobs("later")) == 8


def test_tasks_are_queued_by_the_api(
    fleet: ff.Fleet, swept: tuple[ff.Fleet, Any], server: ApiServer, token: MakeToken
) -> None:
    _, sweep = swept
    fitted = sweep.jobs()[0]
    said = Connection(server.url, token()).post
    place = f"/v1/jobs/{fitted.id}/task"
    dataset = {"path": "line.npz", "x": "x_train", "y": "y_train"}
    row = said(place, kind="evaluate", dataset=dataset, batch_size=8)["row"]
    task = fleet.job(row["id"]).spec.task
    assert task is not None and (task.kind, task.job) == ("evaluate", fitted.id)
    again = said(place, kind="evaluate", dataset=dataset, batch_size=8)["row"]
    assert again["id"] == row["id"]
    for change, why in (
        ({"kind": "train"}, "is not one of predict, evaluate"),
        ({"dataset": {"path": "/etc/x.npz"}}, "is absolute"),
        ({"batch_size": 0}, "batch_size"),
    ):
        with pytest.raises(FitfleetError, match=why):
            said(place, **{"kind": "predict", "dataset": dataset, "batch_size": 8, **change})


def test_datasets_of_jobs_are_fetched_below_the_data_root_only(
    fleet: ff.Fleet, client: MakeClient, job: dict[str, Any], tmp_path: Path
) -> None:
    remote = client()
    here = remote.submit(**job)._dataset_here()
    served = Path(fleet.settings.data_root) / "line.npz"
    assert Path(here.path).read_bytes() == served.read_bytes()
    path = write_line(tmp_path / "elsewhere.npz", scale=3.0)
    outside = fleet.submit(**{**job, "dataset": str(path)})
    with pytest.raises(DatasetError, match="is absolute"):
        remote.job(outside.id)._dataset_here()
