"""A sweep's design: its JSON, its jobs, and every way of asking for what cannot be."""

from __future__ import annotations

from datetime import date
from typing import Any

import keras
import numpy as np
import pytest

import fitfleet as ff
from fitfleet.analysis.objective import check_known, known_names
from fitfleet.errors import FitfleetError, SearchError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.submission import job_spec
from fitfleet.sweeps.design.design import Design, design


def arguments(**changes: Any) -> dict[str, Any]:
    base = {
        "model": ff.Sequential(
            [
                ff.layers.Input((8, 16)),
                ff.layers.LSTM(ff.choice([8, 16])),
                ff.layers.Dense(10, activation="softmax"),
            ]
        ),
        "dataset": ff.Dataset("digits.h5", x="x_train", y="y_train"),
        "optimizer": {"class_name": "Adam", "config": {"learning_rate": ff.log_uniform(1e-4, 0.1)}},
        "loss": "categorical_crossentropy",
        "metrics": ["accuracy"],
        "epochs": 5,
        "experiment": "digits",
        "search": "tpe",
        "trials": 4,
        "seed": 11,
    }
    return {**base, **changes}


def test_it_survives_json() -> None:
    sweep_design = design(
        arguments(repeats="2..5", folds={"kind": "stratified", "k": 3}, pruner="median")
    )
    assert Design.from_json(sweep_design.to_json()) == sweep_design
    assert (sweep_design.repeats, sweep_design.max_repeats, sweep_design.replicates) == (2, 5, 6)


def test_a_point_fills_the_job_in() -> None:
    job = design(arguments(repeats=2)).job_of({"units": 16, "optimizer.learning_rate": 0.01})
    assert job["seed"] == 11
    assert job["params"] == {"units": 16, "optimizer.learning_rate": 0.01}
    assert job["optimizer"]["config"]["learning_rate"] == 0.01
    assert job["model"]["config"]["layers"][1]["config"]["units"] == 16


def test_a_builder_is_searched() -> None:
    sweep_design = design(arguments(model=ff.builder("my_models:build", units=ff.choice([1, 2]))))
    model = sweep_design.job_of({"units": 2, "optimizer.learning_rate": 0.1})["model"]
    assert model == ff.builder("my_models:build", units=2)
    in_yaml = {"builder": "my_models:build", "arguments": {"units": ff.choice([1, 2])}}
    assert design(arguments(model=in_yaml)) == sweep_design
    flat = {"builder": "my_models:build", "units": ff.choice([1, 2])}
    assert design(arguments(model=flat)) == sweep_design


def test_the_seed_may_be_searched_without_repeats() -> None:
    sweep_design = design(arguments(seed=ff.integers(0, 9)))
    assert sweep_design.job_of({"seed": 3, "units": 8, "optimizer.learning_rate": 0.1})["seed"] == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"direction": "minimise"}, "did you mean 'minimize'"),
        ({"objective": "goodness"}, "give direction="),
        ({"objective": ["val_loss", "seconds"], "direction": ["minimize"]}, "1 directions for 2"),
        ({"search": "bayes"}, "search: 'bayes' is not one of"),
        ({"pruner": "asha"}, "pruner: 'asha' is not one of"),
        ({"pruner": ["median"]}, "give options as in"),
        ({"pruner": {"n_startup_trials": 8}}, "give options as in"),
        ({"repeats": 10**9}, "repeats: 1000000000 is not"),
        ({"repeats": "2..1000000000000"}, "repeats: .* is not"),
        ({"repeats": 500, "folds": 500}, "250,000 jobs of one point"),
        ({"folds": 10**9}, "folds: k=1000000000 is not"),
        ({"name": ["a"]}, "name: .* is not a name of 1 to 128 printable"),
        ({"name": "\x1b]0;x\x07"}, "is not a name of 1 to 128 printable"),
        ({"experiment": ["a"]}, "experiment: .* is not a name"),
        ({"experiment": "a\nb"}, "experiment: .* is not a name"),
        ({"priority": b"hi"}, "priority: b'hi' is not"),
        ({"timeout_s": date(2024, 1, 1)}, "timeout_s: .* is not"),
        ({"seed": 10**400}, "seed: 1000.* is not a whole number from 0"),
        ({"seed": -1}, "seed: -1 is not a whole number from 0"),
        ({"pruner": {"name": "median", "n_startup_trials": date(2024, 1, 1)}}, "is not a number"),
        ({"search": ["grid"]}, "search: .* is not a name"),
        ({"objective": "\x1b[31m", "direction": "minimize"}, "not the name of a metric"),
        ({"dataset": date(2024, 1, 1)}, "dataset: a date cannot be written"),
        ({"objective": 3}, "not the name of a metric"),
        ({"objective": []}, "not the name of a metric"),
        ({"direction": 3}, "neither 'minimize' nor 'maximize'"),
        ({"pruner": "median", "epochs": "many"}, "epochs: 'many' is not a number of epochs"),
        ({"pruner": "median", "epochs": ff.choice([9, "a"])}, "'a' is not a number of epochs"),
        ({"pruner": "median", "epochs": 1}, "one epoch is not a curve"),
        ({"pruner": "wilcoxon"}, "at least 3"),
        ({"pruner": "median", "objective": ["val_loss", "seconds"]}, "several objectives"),
        ({"seed": ff.choice([1, 2]), "repeats": 3}, "repeats vary it too"),
        ({"seed": [1, 2, 3]}, "not a whole number"),
        ({"repeats": 0}, "not a number of repeats"),
        ({"repeats": "5..3"}, "not a number of repeats"),
        ({"repeats": "1..3"}, "not a number of repeats"),
        ({"folds": 1}, "from 2 to 1,000"),
        ({"folds": "five"}, "neither a number nor"),
        ({"folds": [3, 4]}, "neither a number nor"),
        ({"folds": {"k": "five"}}, "neither a number nor"),
        ({"folds": {"kind": "random", "k": 3}}, "kfold, stratified, group, timeseries"),
        ({"trials": 0}, "trials: 0"),
        ({"max_running": -1}, "max_running: -1"),
        ({"params": {"a": 1}}, "a sweep makes them itself"),
        ({"search": "cmaes", "objective": ["val_loss", "seconds"]}, "takes one objective"),
        ({"adopt": "yes"}, "neither true nor false"),
        ({"at": "first"}, "neither 'last' nor 'best'"),
        ({"model": None}, "is missing"),
        ({"modle": 1}, "modle: no such argument"),
    ],
)
def test_a_bad_design_is_rejected_with_its_reason(changes: dict[str, Any], says: str) -> None:
    with pytest.raises((SearchError, SpecError), match=says) as caught:
        design(arguments(**changes))
    assert isinstance(caught.value, FitfleetError)


def test_an_unknown_objective_lists_those_that_exist() -> None:
    sweep_design = design(arguments(objective="val_acuracy", direction="maximize"))
    spec = job_spec(
        Settings(),
        **without_options(sweep_design.job_of({"units": 8, "optimizer.learning_rate": 0.1})),
    )
    with pytest.raises(SearchError, match=r"did you mean val_accuracy\? there are loss, accuracy"):
        check_known(sweep_design.wanted, spec, has_validation=True)
    with pytest.raises(SearchError, match="there are loss, accuracy"):
        check_known(sweep_design.wanted, spec, has_validation=False)


def test_of_a_metric_with_several_values_one_is_the_objective() -> None:
    def checked(objective: str, metric: Any = "f1_score") -> None:
        given = arguments(objective=objective, metrics=[metric])
        sweep_design = design(given)
        point = without_options(sweep_design.job_of({"units": 8, "optimizer.learning_rate": 0.1}))
        check_known(sweep_design.wanted, job_spec(Settings(), **point), has_validation=True)

    checked("val_f1_score.2")
    checked("val_recall_at_0.5", {"Recall": {"thresholds": 0.5, "name": "recall_at_0.5"}})
    with pytest.raises(SearchError, match=r"records val_f1_score; did you mean val_f1_score\.0"):
        checked("val_f1_score")


def test_a_validation_objective_needs_validation_data() -> None:
    sweep_design = design(arguments(objective="val_accuracy"))
    spec = job_spec(
        Settings(),
        **without_options(sweep_design.job_of({"units": 8, "optimizer.learning_rate": 0.1})),
    )
    with pytest.raises(SearchError, match="needs validation data"):
        check_known(sweep_design.wanted, spec, has_validation=False)


def test_names_of_several_outputs() -> None:
    document = arguments(
        loss={"a": "mse", "b": "mae"}, metrics={"a": [{"class_name": "MeanAbsoluteError"}]}
    )
    sweep_design = design(document)
    spec = job_spec(
        Settings(),
        **without_options(sweep_design.job_of({"units": 8, "optimizer.learning_rate": 0.1})),
    )
    names = known_names(spec, has_validation=False)
    assert {"loss", "a_loss", "b_loss", "a_mean_absolute_error"} <= set(names)


@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")  # of an output's None
@pytest.mark.parametrize("outputs", [list, dict])
@pytest.mark.parametrize(
    "loss", ["mse", ["mse", "mae"], {"a": "mse", "b": "mae"}, {"a": "mse", "b": None}]
)
def test_names_of_several_outputs_are_those_that_keras_records(outputs: Any, loss: Any) -> None:
    source = keras.Input((4,))
    ends = {name: keras.layers.Dense(1, name=name)(source) for name in "ab"}
    model = keras.Model(source, ends if outputs is dict else list(ends.values()))
    given = {"loss": loss, "metrics": {"a": ["mae"]}, "optimizer": "sgd"}
    spec = job_spec(Settings(), model=model, dataset="d.npz", **given)
    x = np.ones((4, 4), "float32")
    y: Any = [x[:, :1], x[:, 1:2]]
    y = dict(zip("ab", y, strict=True)) if outputs is dict else y
    model.compile(**given)
    recorded = set(model.fit(x, y, verbose=0).history)
    assert recorded <= set(known_names(spec, has_validation=False))


def without_options(job: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in job.items() if k not in ("experiment", "params")}


@pytest.mark.parametrize(
    ("name", "says"),
    [("n_trials", "it is called trials here"), ("param_grid", "a search space replaces the value")],
)
def test_a_name_of_another_library_is_answered_with_ours(name: str, says: str) -> None:
    with pytest.raises(SpecError, match=f"{name}: no such argument of a sweep; {says}"):
        design(arguments(**{name: 3}))
