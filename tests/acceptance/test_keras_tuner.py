"""Scripts of KerasTuner users, whose one line for the tuner is one for a sweep."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fitfleet.db.session import Database

pytestmark = pytest.mark.slow

SCRIPT = """
import sys

import keras
import keras_tuner as kt
import numpy as np
import optuna

import fitfleet as ff


def build_model(hp: kt.HyperParameters) -> keras.Model:
    model = keras.Sequential([keras.Input((4,))])
    for i in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Int(f"units_{i}", 4, 12, step=4), activation="relu"))
    if hp.Boolean("dropout"):
        with hp.conditional_scope("dropout", [True]):
            model.add(keras.layers.Dropout(hp.Float("rate", 0.1, 0.5, step=0.2)))
    model.add(keras.layers.Dense(hp.Fixed("classes", 3), activation="softmax"))
    model.compile(
        keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Subclass(keras.Model):
    def __init__(self, units, **more):
        super().__init__(**more)
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.out = keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.out(self.hidden(x))


class Searched(kt.HyperModel):
    def __init__(self, largest):
        super().__init__()
        self.largest = largest

    def build(self, hp):
        model = Subclass(hp.Choice("units", [4, self.largest]))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def grid_model(hp):
    model = keras.Sequential([keras.Input((4,))])
    kind = hp.Choice("kind", ["wide", "deep"])
    with hp.conditional_scope("kind", ["wide"]):
        if kind == "wide":
            model.add(keras.layers.Dense(hp.Choice("units", [16, 32])))
    model.add(keras.layers.Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def measured(trial):
    layers = trial.suggest_int("layers", 1, 2)
    units = [trial.suggest_int(f"units_{i}", 4, 12, step=4) for i in range(layers)]
    trial.suggest_categorical("classes", [3])
    trial.suggest_categorical("dropout", [False])
    return sum(units) / trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)).astype("float32"), rng.integers(0, 3, 60)
    common = dict(dataset=(x, y), validation_split=0.2, epochs=2)
    with ff.local(workers=2, directory=sys.argv[1]) as fleet:
        fleet.sweep(model=build_model, search="random", trials=5, repeats=2, seed=3,
                    objective=kt.Objective("val_accuracy", "max"),
                    batch_size=ff.choice([8, 16]), experiment="random", **common).run()
        fleet.sweep(model=grid_model, search="grid", experiment="grid", **common).run()
        study = optuna.create_study()
        study.optimize(measured, n_trials=6)
        learnt = fleet.sweep(model=build_model, search="tpe", trials=4, experiment="tpe",
                             max_running=1, batch_size=16, points_from=study, **common).run()
        learnt.trials().to_json(sys.argv[2], orient="records")
        assert fleet.resume_sweep("tpe").trials().equals(learnt.trials())
        assert learnt.progress.complete == 4 and len(learnt.compare()) == 4
        fleet.sweep(model=Searched(8), search="grid", experiment="subclass", **common).run()
        hp = kt.HyperParameters()
        job = fleet.jobs("random")[0]
        hp.values = dict(job.params)
        same = fleet.submit(model=build_model(hp), batch_size=job.params["batch_size"],
                            seed=job.row.seed, experiment="random", **common)
        assert same.is_reused and same.id == job.id
        print("all sweeps ended")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the script has run, with its fleet and a table of trials."""
    folder = tmp_path_factory.mktemp("keras_tuner")
    path = folder / "tune.py"
    path.write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, str(path), str(folder / "fleet"), str(folder / "trials.json")],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    assert "all sweeps ended" in run.stdout, run.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> pd.DataFrame:
    """What the script's fleet has in the view `runs`, params read."""
    database = Database(f"sqlite:///{next(folder.rglob('*.db'))}")
    with database.read() as c:
        frame = pd.read_sql("SELECT * FROM runs ORDER BY job_id", c)
    database.dispose()
    frame["params"] = frame["params"].map(json.loads)
    return frame


def test_every_search_trains_what_the_build_function_makes(rows: pd.DataFrame) -> None:
    assert set(rows["status"]) == {"SUCCEEDED"}
    assert rows.groupby("experiment").size().to_dict() == {
        "grid": 3,
        "random": 10,
        "subclass": 2,
        "tpe": 4,
    }


def test_parameters_are_those_of_the_build_function_and_absent_where_inactive(
    rows: pd.DataFrame,
) -> None:
    for params in rows[rows["experiment"].isin(["random", "tpe"])]["params"]:
        assert params["classes"] == 3 and 1e-3 <= params["learning_rate"] <= 1e-1
        assert ("rate" in params) == params["dropout"]
        assert ("units_1" in params) == (params["layers"] == 2)
    grid = [params for params in rows[rows["experiment"] == "grid"]["params"]]
    expected = [{"kind": "wide", "units": 16}, {"kind": "wide", "units": 32}, {"kind": "deep"}]
    assert grid == expected


def test_the_models_have_the_weights_that_their_parameters_say(rows: pd.DataFrame) -> None:
    chosen = rows[rows["experiment"].isin(["random", "tpe"])]
    counted = [_weights(params) for params in chosen["params"]]
    assert chosen["parameters"].tolist() == counted
    assert len(set(counted)) > 1
    subclass = rows[rows["experiment"] == "subclass"]
    assert subclass["parameters"].tolist() == [4 * 5 + 3 * 5, 8 * 5 + 3 * 9]


def test_jobs_of_one_architecture_are_trained_by_one_program(rows: pd.DataFrame) -> None:
    assert rows[rows["experiment"] == "random"]["engine"].ne("fit").any()
    assert np.isfinite(rows["val_loss"]).all()


def test_imported_points_are_no_results_of_the_fleet(folder: Path, rows: pd.DataFrame) -> None:
    trials = json.loads((folder / "trials.json").read_text())
    assert [trial["state"] for trial in trials] == ["complete"] * 4 + ["imported"] * 6
    assert [trial["trial"] for trial in trials] == [0, 1, 2, 3, *[None] * 6]
    assert all(trial["why"] is None and trial["left_out"] is None for trial in trials[4:])
    assert len(rows[rows["experiment"] == "tpe"]) == 4


def _weights(params: dict[str, Any]) -> int:
    sizes = [4, *(params[f"units_{i}"] for i in range(params["layers"])), 3]
    return sum((a + 1) * b for a, b in itertools.pairwise(sizes))
