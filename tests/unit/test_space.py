"""Spaces are found by short names, survive JSON, and expand to the same points every time."""

import json
from typing import Any

import pytest

import fitfleet as ff
from fitfleet.errors import SearchError
from fitfleet.settings import Settings
from fitfleet.spec.submission import job_spec
from fitfleet.sweeps import space


def document() -> dict[str, Any]:
    return {
        "model": ff.Sequential(
            [
                ff.layers.Input((8, 8)),
                ff.layers.LSTM(ff.choice([16, 32]), return_sequences=True),
                ff.layers.LSTM(ff.choice([4, 8]), dropout=ff.uniform(0, 0.5)),
                ff.layers.Dense(10, activation="softmax"),
            ]
        ),
        "optimizer": {
            "class_name": "RMSprop",
            "config": {"learning_rate": ff.log_uniform(1e-4, 1)},
        },
        "batch_size": ff.integers(16, 64, step=16),
        "loss": "categorical_crossentropy",
        "dataset": "digits.h5",
        "seed": 0,
    }


def test_names_are_short_and_unique() -> None:
    assert list(space.find(document())) == [
        "lstm.units",
        "lstm_1.units",
        "dropout",
        "optimizer.learning_rate",
        "batch_size",
    ]


def test_the_short_forms_give_the_same_names() -> None:
    given = {
        "model": {
            "Sequential": [{"Input": {"shape": [3]}}, {"Dense": {"units": ff.choice([1, 2])}}]
        },
        "optimizer": {"Adam": {"learning_rate": ff.uniform(0.1, 0.2)}},
        "callbacks": [{"EarlyStopping": {"patience": ff.choice([1, 2])}}],
    }
    names = ["units", "optimizer.learning_rate", "callbacks.early_stopping.patience"]
    assert list(space.find(given)) == names


def test_a_builders_arguments_are_found() -> None:
    given = {"model": ff.builder("models:build", units=ff.choice([1, 2]))}
    assert list(space.find(given)) == ["units"]
    assert space.substitute(given, {"units": 2})["model"] == {
        "path": "models:build",
        "arguments": {"units": 2},
    }


def test_a_document_with_spaces_survives_json() -> None:
    live = document()
    read = json.loads(json.dumps(space.plain(live)))
    assert space.find(read) == space.find(live)
    assert space.plain(read) == read


def test_one_space_in_two_places_is_one_parameter() -> None:
    units = ff.choice([4, 8])
    live = {
        "model": ff.Sequential(
            [ff.layers.Input((3,)), ff.layers.Dense(units), ff.layers.Dense(units)]
        )
    }
    for given in (live, json.loads(json.dumps(space.plain(live)))):
        assert len(space.find(given)) == 1
        name = next(iter(space.find(given)))
        layers = space.substitute(given, {name: 8})["model"]["config"]["layers"]
        assert [layer["config"]["units"] for layer in layers[1:]] == [8, 8]


def test_equal_spaces_are_two_parameters_and_a_name_ties_them() -> None:
    two = {"a": ff.choice([1, 2]), "b": ff.choice([1, 2])}
    assert list(space.find(two)) == ["a", "b"]
    tied = {"a": ff.choice([1, 2], name="n"), "b": ff.choice([1, 2], name="n")}
    assert list(space.find(tied)) == ["n"]
    with pytest.raises(SearchError, match="different spaces have the name 'n'"):
        space.find({"a": ff.choice([1], name="n"), "b": ff.choice([2], name="n")})


def test_a_point_becomes_a_job() -> None:
    live = document()
    point = space.random(live, 1, seed=3)[0]
    spec = job_spec(Settings(), **space.substitute(space.plain(live), point))
    assert spec.batch_size == point["batch_size"]
    assert spec.optimizer["config"]["learning_rate"] == point["optimizer.learning_rate"]
    assert spec.model.config is not None
    assert spec.model.config["config"]["layers"][1]["config"]["units"] == point["lstm.units"]


def test_a_grid_has_every_point_once() -> None:
    given = {"a": ff.choice(["x", "y"]), "b": ff.integers(1, 5, step=2), "c": 7}
    assert space.grid(given) == [{"a": a, "b": b} for a in "xy" for b in (1, 3, 5)]
    assert space.grid(given, 4) == space.grid(given)[:4]
    endless = {name: ff.integers(1, 10**6) for name in "abc"}
    assert space.grid(endless, 2) == [{"a": 1, "b": 1, "c": c} for c in (1, 2)]


def test_random_points_depend_on_the_seed_alone() -> None:
    points = space.random(document(), 20, seed=1)
    assert points == space.random(document(), 20, seed=1)
    assert points[:5] == space.random(document(), 5, seed=1)
    assert points != space.random(document(), 20, seed=2)
    for point in points:
        assert 1e-4 <= point["optimizer.learning_rate"] <= 1
        assert point["batch_size"] in (16, 32, 48, 64)
        assert 0 <= point["dropout"] <= 0.5


def test_integers_on_a_log_scale_stay_within_bounds() -> None:
    drawn = {p["n"] for p in space.random({"n": ff.integers(1, 1000, log=True)}, 300, seed=0)}
    assert min(drawn) >= 1 and max(drawn) <= 1000
    assert sum(n <= 30 for n in drawn) > 15


@pytest.mark.parametrize(
    "make",
    [
        lambda: ff.choice([]),
        lambda: ff.choice("abc"),
        lambda: ff.choice(3),  # type: ignore[arg-type]
        lambda: ff.uniform(1, 1),
        lambda: ff.uniform(2, 1),
        lambda: ff.uniform(0, float("inf")),
        lambda: ff.uniform("a", 1),  # type: ignore[arg-type]
        lambda: ff.log_uniform(0, 1),
        lambda: ff.integers(1, 5, step=0),
        lambda: ff.integers(0, 5, log=True),
        lambda: ff.integers(1.5, 5),  # type: ignore[arg-type]
        lambda: space.from_space({"$space": "chioce", "options": [1]}),
        lambda: space.from_space({"$space": "uniform", "low": 1}),
        lambda: space.grid({"a": ff.uniform(0, 1)}),
        lambda: space.grid({"a": ff.integers(1, 1000), "b": ff.integers(1, 1000)}),
        lambda: space.grid({"a": ff.integers(0, 10**15)}),
        lambda: space.grid({"a": 1}),
        lambda: space.random({"a": 1}, 3, seed=0),
        lambda: space.random({"a": ff.choice([1])}, 0, seed=0),
        lambda: space.substitute({"a": ff.choice([1])}, {}),
        lambda: space.substitute({"a": ff.choice([1])}, {"a": 1, "b": 2}),
    ],
)
def test_what_cannot_be_searched_is_refused(make: Any) -> None:
    with pytest.raises(SearchError):
        make()


def test_a_grid_of_a_million_points_says_how_many() -> None:
    with pytest.raises(SearchError, match="1,000,000 points"):
        space.grid({"a": ff.integers(1, 1000), "b": ff.integers(1, 1000)})
