"""Spaces are found by short names, survive JSON, and expand to the same points every time."""

import json
from typing import Any

import pytest

import fitfleet as ff
from fitfleet.errors import SearchError
from fitfleet.settings import Settings
from fitfleet.spec.submission import job_spec
from fitfleet.sweeps.spaces import space


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
    spaces = {"a": ff.choice([1, 2]), "b": ff.choice([1, 2])}
    assert list(space.find(spaces)) == ["a", "b"]
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


def conditional() -> dict[str, Any]:
    layers = ff.layers
    regularizer = {"L2": {"l2": ff.choice([0.1])}}
    return {
        "model": ff.Sequential(
            [
                layers.Input((4,)),
                ff.choice([layers.Dense(ff.choice([2, 4])), layers.Dropout(ff.uniform(0, 0.5))]),
                layers.Dense(1, kernel_regularizer=ff.choice([None, regularizer])),
            ]
        ),
        "optimizer": ff.choice(
            [
                {"Adam": {"learning_rate": ff.choice([0.1, 0.2])}},
                {"SGD": {"learning_rate": ff.choice([1.0, 2.0, 3.0]), "momentum": 0.9}},
            ]
        ),
        "dataset": "data.npz",
        "loss": "mse",
    }


def test_spaces_in_the_options_of_a_choice_are_parameters_while_it_is_chosen() -> None:
    known = space.parameters(conditional())
    assert {name: parameter.conditions for name, parameter in known.items()} == {
        "layer": (),
        "units": (("layer", "Dense"),),
        "rate": (("layer", "Dropout"),),
        "kernel_regularizer": (),
        "l2": (("kernel_regularizer", "L2"),),
        "optimizer": (),
        "optimizer.Adam.learning_rate": (("optimizer", "Adam"),),
        "optimizer.SGD.learning_rate": (("optimizer", "SGD"),),
    }
    assert known["kernel_regularizer"].space.options == ("None", "L2")


def test_a_point_has_no_value_of_what_its_choices_left_out() -> None:
    read = json.loads(json.dumps(space.plain(conditional())))
    assert space.parameters(read) == space.parameters(conditional())
    for point in space.random(read, 30, seed=0):
        assert ("units" in point) == (point["layer"] == "Dense")
        assert ("optimizer.SGD.learning_rate" in point) == (point["optimizer"] == "SGD")
        spec = job_spec(Settings(), **space.substitute(read, point))
        assert spec.optimizer["class_name"] == point["optimizer"]
        rate = point[f"optimizer.{point['optimizer']}.learning_rate"]
        assert spec.optimizer["config"]["learning_rate"] == rate
        layers = spec.model.config["config"]["layers"]  # type: ignore[index]
        assert layers[1]["class_name"] == point["layer"]
        assert layers[2]["config"].get("kernel_regularizer") is None or point["l2"] == 0.1


def test_a_grid_of_conditional_spaces_has_every_point_once() -> None:
    given = {"optimizer": conditional()["optimizer"], "epochs": ff.choice([1, 2])}
    points = space.grid(given)
    assert len(points) == 2 * (2 + 3) == len({json.dumps(p) for p in points})
    assert points[0] == {"optimizer": "Adam", "optimizer.Adam.learning_rate": 0.1, "epochs": 1}
    nested = {"a": ff.choice([ff.choice([1, 2]), ff.choice([{"b": ff.choice([5, 6])}, 7])])}
    values = [space.substitute(nested, point)["a"] for point in space.grid(nested)]
    assert values == [1, 2, {"b": 5}, {"b": 6}, 7]


def test_one_space_in_two_options_is_a_parameter_in_both() -> None:
    rate = ff.choice([0.1, 0.2])
    given = {"optimizer": ff.choice([{"Adam": {"lr": rate}}, {"SGD": {"lr": rate}}, "rmsprop"])}
    (name,) = set(space.find(given)) - {"optimizer"}
    assert [name in point for point in space.grid(given)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ff.integers(0, 2**70),
        lambda: ff.integers(1, 9, step="a"),  # type: ignore[arg-type]
        lambda: ff.integers(1, 9, log=1),  # type: ignore[arg-type]
        lambda: ff.uniform([1], [2]),  # type: ignore[arg-type]
        lambda: ff.uniform(0, 10**400),
        lambda: ff.choice([1, 2], name=[1]),  # type: ignore[arg-type]
        lambda: ff.choice([1, 2], name="\x1b[31m"),
        lambda: ff.choice(iter(int, 1)),  # endless
        lambda: space.from_space({"$space": ["choice"], "options": [1]}),
        lambda: space.from_space({"$space": "choice", "options": 5}),
        lambda: space.from_space({"$space": "integers", "low": 1, "high": 9, "step": None}),
        lambda: space.find({"a": [ff.choice([1, 2]) for _ in range(201)]}),
        lambda: space.grid({str(i): ff.choice([1, 2]) for i in range(100)}),
    ],
)
def test_bad_spaces_are_refused_in_one_sentence(make: Any) -> None:
    with pytest.raises(SearchError, match=r"^[^\x1b\n]{1,200}$"):
        make()


def test_a_layer_is_repeated_as_often_as_a_point_says() -> None:
    layers = ff.layers
    hidden = [layers.Dense(ff.choice([2, 4])), layers.Dropout(0.1)]
    given = {
        "model": ff.Sequential(
            [
                layers.Input((4,)),
                ff.repeat(hidden, ff.integers(0, 2)),
                ff.repeat(layers.Dense(1), 2),
            ]
        )
    }
    read = json.loads(json.dumps(space.plain(given)))
    assert list(space.find(read)) == list(space.find(given)) == ["units", "count"]
    model = space.substitute(read, {"count": 2, "units": 4})["model"]
    units = [layer["config"].get("units") for layer in model["config"]["layers"][1:]]
    assert units == [4, None, 4, None, 1, 1]
    none = space.substitute(given, {"count": 0, "units": 2})["model"]
    assert len(none["config"]["layers"]) == 3
    with pytest.raises(SearchError, match=r"repeat: 1\.5 is not a number"):
        ff.repeat(layers.Dense(1), ff.choice([1, 1.5]))


def test_a_document_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    with pytest.raises(SearchError, match="levels inside each other"):
        space.find(loop)


def test_a_choice_of_layers_is_called_layer() -> None:
    layers = ff.layers
    cells = ff.choice([layers.LSTM(ff.choice([16, 32])), layers.GRU(4)])
    ends = ff.choice([layers.Dense(3), layers.Dense(3, use_bias=False)])
    model = ff.Sequential([layers.Input((8, 8)), cells, ends, layers.Dense(2)])
    assert list(space.find({"model": model})) == ["layer", "units", "layer_1"]
