"""Trials of Optuna studies and of KerasTuner projects as points that a sweep knows."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest

import fitfleet as ff
from fitfleet.analysis.results import Trial
from fitfleet.errors import SearchError
from fitfleet.sweeps.design.design import Design, design
from fitfleet.sweeps.design.imported_rows import with_imported
from fitfleet.sweeps.search.search import make_search
from fitfleet.sweeps.spaces.hypermodels import accepted

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACES = {
    "units": ff.choice([8, 16, 32], name="units"),
    "lr": ff.log_uniform(1e-4, 1e-1, name="lr"),
    "layers": ff.integers(1, 5, step=2, name="layers"),
}


def sweep_of(points_from: Any, *, search: str = "tpe", **more: Any) -> Design:
    model = {"builder": "mine:build", **SPACES}
    given = {"model": model, "dataset": "data.h5", "trials": 5, "search": search, "seed": 7}
    return design({**given, **more}, points_from)


def measure(trial: Any) -> float:
    units = trial.suggest_categorical("units", [8, 16, 32])
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    return float(abs(math.log(lr / 1e-2)) + units / trial.suggest_int("layers", 1, 5, step=2))


def study_of(count: int = 15, **more: Any) -> Any:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1), **more)
    study.optimize(measure, n_trials=count)
    return study


def search_of(given: Design) -> Any:
    return make_search(
        given.search,
        given.job,
        trials=given.trials,
        seed=given.seed,
        directions=[point.direction for point in given.wanted],
        imported=given.imported,
    )


def test_a_search_suggests_what_optuna_suggests_after_the_same_trials() -> None:
    study = study_of()
    given = sweep_of(study)
    assert [point.unused for point in given.imported] == [None] * 15
    plain = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=7))
    plain.add_trials(study.trials)
    search, trials = search_of(given), []
    for number in range(4):
        asked = plain.ask()
        value = measure(asked)
        point = search.next(trials)
        assert point == asked.params
        plain.tell(asked, value)
        trials.append(Trial(number, point, frozenset(), "complete", (value,)))
    assert search_of(sweep_of(None)).next([]) != trials[0].point


def test_a_search_rebuilt_from_its_stored_design_suggests_the_same() -> None:
    given = sweep_of(study_of())
    stored = Design.from_json(given.to_json())
    assert stored == given and stored.imported
    assert search_of(stored).next([]) == search_of(given).next([])


def test_a_study_is_read_from_the_url_of_its_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    study_of(1, storage=url, study_name="first")
    points = sweep_of(url).imported
    assert [(point.source, point.trial) for point in points] == [("optuna:first", "0")]
    optuna.create_study(storage=url, study_name="second")
    with pytest.raises(SearchError, match=r"are: first, second; give the one"):
        sweep_of(url)
    assert len(sweep_of([{"source": url, "study": "first"}, study_of(2)]).imported) == 3


def test_names_are_matched_and_what_does_not_fit_is_listed() -> None:
    study = optuna.create_study()
    kinds = optuna.distributions
    spaces = {
        "learning_rate": kinds.FloatDistribution(1e-6, 1),
        "units": kinds.CategoricalDistribution([8, 16, 64]),
        "momentum": kinds.FloatDistribution(0, 1),
    }
    for params, value in [
        ({"learning_rate": 0.01, "units": 16, "momentum": 0.5}, 1.0),
        ({"learning_rate": 0.5, "units": 64, "momentum": 0.5}, 2.0),
    ]:
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions={k: spaces[k] for k in params}, values=[value]
            )
        )
    source = {"source": study, "names": {"learning_rate": "lr"}}
    fitting, outside = sweep_of(source).imported
    assert (fitting.point, fitting.values) == ({"units": 16, "lr": 0.01}, (1.0,))
    assert fitting.unused is None
    assert fitting.left_out == ["momentum=0.5: no parameter", "layers: no value"]
    assert outside.unused == "units=64 is not among its values; lr=0.5 is not among its values"
    assert search_of(sweep_of(source)).next([]) is not None
    whole = sweep_of(source, search="cmaes").imported[0]
    assert whole.unused == "it has no value of layers, and cmaes needs all"
    listed = sweep_of(source, search="random").imported[0]
    assert listed.unused == "a random search does not learn"


def test_imported_points_stand_below_the_sweeps_own_and_are_no_trials_of_it() -> None:
    import pandas as pd

    columns = ["trial", "units", "state", "val_loss", "jobs", "why"]
    trials = pd.DataFrame([[0, 8, "complete", 0.5, 1, None]], columns=columns)
    table = with_imported(trials, sweep_of(study_of(2)))
    assert table["state"].tolist() == ["complete", "imported", "imported"]
    assert table["trial"].isna().tolist() == [False, True, True]
    assert table["source"].tolist()[1:] == ["optuna:" + s for s in _sources(table)]
    assert {"units", "lr", "layers", "val_loss", "left_out"} <= set(table.columns)
    assert with_imported(trials, sweep_of(None)) is trials


def _sources(table: Any) -> list[str]:
    return [text.removeprefix("optuna:") for text in table["source"].tolist()[1:]]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (3, "neither a study of Optuna"),
        ("no/such/project", "not the folder of a KerasTuner project"),
        ("sqlite:////nowhere/studies.db", "there is no such file"),
        (__file__, f"is a file; an Optuna study in SQLite is 'sqlite:///{__file__}'"),
        ({"study": "first"}, "a source with names is"),
        ({"source": "x", "names": {"a": "width"}}, "'width' is not a parameter"),
    ],
    ids=["number", "folder", "file", "no URL", "no source", "no parameter"],
)
def test_what_is_no_source_is_refused(source: Any, text: str) -> None:
    with pytest.raises(SearchError, match=text):
        sweep_of(source)


def test_a_study_of_the_other_direction_is_refused() -> None:
    with pytest.raises(SearchError, match="is to maximize, this sweep to minimize"):
        sweep_of(study_of(1, direction="maximize"))


def build(hp: Any) -> None:
    hp.Choice("kind", ["mlp", "cnn"])
    hp.Float("lr", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 8, 64, step=8, parent_name="kind", parent_values=["mlp"])
    hp.Int("filters", 2, 4, parent_name="kind", parent_values=["cnn"])


def branches(hp: Any) -> None:
    hp.Choice("kind", ["mlp", "cnn"])
    hp.Int("units", 8, 64, step=8, parent_name="kind", parent_values=["mlp"])
    hp.Int("units", 2, 4, parent_name="kind", parent_values=["cnn"])


def test_one_name_in_two_branches_of_a_study_is_matched_by_its_branch() -> None:
    def objective(trial: Any) -> float:
        kind = trial.suggest_categorical("kind", ["mlp", "cnn"])
        low, high, step = (8, 64, 8) if kind == "mlp" else (2, 4, 1)
        return float(trial.suggest_int("units", low, high, step=step))

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(objective, n_trials=6)
    given: dict[str, Any] = {"dataset": "data.h5", "trials": 3, "search": "tpe"}
    given |= accepted({"model": branches})
    for point, trial in zip(design(given, study).imported, study.trials, strict=True):
        kind, units = trial.params["kind"], trial.params["units"]
        assert (point.point, point.left_out) == ({"kind": kind, f"{kind}.units": units}, [])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that KerasTuner itself has written, of trials whose values are computed."""
    import keras_tuner

    class Computed(keras_tuner.RandomSearch):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **more: Any) -> Any:
            build(trial.hyperparameters)
            lr = trial.hyperparameters.get("lr")
            return {"val_loss": lr, "val_accuracy": 1 - lr}

    objective = keras_tuner.Objective("val_accuracy", "max")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuner = Computed(
            objective=objective, max_trials=6, seed=2, directory=tmp_path, project_name="digits"
        )
        tuner.search(verbose=0)
    return tmp_path / "digits"


def test_a_project_of_keras_tuner_is_read_by_its_own_names(project: Path) -> None:
    given: dict[str, Any] = {
        "dataset": "data.h5",
        "search": "tpe",
        "trials": 3,
        "metrics": ["accuracy"],
        "objective": "val_accuracy",
        **accepted({"model": build}),
    }
    points = design(given, project).imported
    assert design(given, str(project.parent)).imported == points
    assert len(points) == 6 and {point.source for point in points} == {"keras_tuner:digits"}
    for point in points:
        kind = point.point["kind"]
        assert point.unused is None and point.left_out == []
        assert set(point.point) == {"kind", "lr", "units" if kind == "mlp" else "filters"}
        assert point.values == (pytest.approx(1 - point.point["lr"]),)
    assert search_of(design(given, project)).next([]) is not None
    losses = design({**given, "objective": "val_loss"}, project).imported
    assert [point.values[0] for point in losses] == [point.point["lr"] for point in losses]


def test_a_damaged_trial_is_named(project: Path) -> None:
    path = sorted(project.glob("trial_*/trial.json"))[0]
    path.write_text('{"status": "COMPLETED"}')
    with pytest.raises(SearchError, match="is not a trial as KerasTuner writes it"):
        sweep_of(project)
    path.write_text("{")
    with pytest.raises(SearchError, match="cannot be read"):
        sweep_of(project)
