"""Spaces of KerasTuner build functions, against what KerasTuner itself finds in them."""

from __future__ import annotations

import random
import warnings
from typing import Any

import keras_tuner
import pytest

from fitfleet.analysis.results import Trial
from fitfleet.errors import SearchError, SpecError
from fitfleet.spec.parts.hyperparameters import HyperParameters
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.search.search import make_search
from fitfleet.sweeps.spaces import space
from fitfleet.sweeps.spaces.hypermodels import accepted


def numbers(hp: Any) -> None:
    hp.Int("units", 6, 13, step=3)
    hp.Int("plain", 1, 4, default=2)
    hp.Int("batch", 2, 32, step=2, sampling="log")
    hp.Int("width", 8, 512, sampling="log")
    hp.Int("back", 8, 512, sampling="reverse_log")
    hp.Int("one", 3, 3)
    hp.Float("rate", 0, 0.5, step=0.1)
    hp.Float("lr", 1e-4, 1e-1, sampling="log")
    hp.Float("decade", 0.001, 10, step=10, sampling="log")
    hp.Float("down", 0.001, 10, step=10, sampling="reverse_log")
    hp.Float("momentum", 0.5, 0.99, sampling="reverse_log")
    hp.Float("share", 0.0, 1.0)
    hp.Choice("activation", ["relu", "tanh"])
    hp.Choice("kernel", [3, 5, 7], default=5)
    hp.Boolean("dropout", default=True)
    hp.Fixed("filters", 32)


def scoped(hp: Any) -> None:
    kind = hp.Choice("kind", ["mlp", "cnn", "rnn"])
    with hp.conditional_scope("kind", ["mlp"]), hp.name_scope("dense"):
        if kind == "mlp":
            hp.Int("units", 8, 64)
    with hp.conditional_scope("kind", ["cnn", "rnn"]):
        if kind in ("cnn", "rnn"):
            with hp.name_scope("deep"):
                if hp.Boolean("norm"):
                    hp.Float("momentum", 0.5, 0.9, parent_name="norm", parent_values=[True])
    hp.Choice("optimizer", ["adam", "sgd"])
    hp.Float("nesterov", 0.1, 0.9, parent_name="optimizer", parent_values=["sgd"])


def layered(hp: Any) -> None:
    for i in range(hp.Int("layers", 1, 3)):
        hp.Int(f"units_{i}", 16, 64, step=16)
        if hp.Boolean(f"norm_{i}"):
            hp.Float(f"momentum_{i}", 0.5, 0.99)


def branched(hp: Any) -> None:
    kind = hp.Choice("kind", ["mlp", "cnn"])
    with hp.conditional_scope("kind", ["mlp"]):
        hp.Int("units", 8, 64)
        hp.Choice("activation", ["relu", "tanh"])
    with hp.conditional_scope("kind", ["cnn"]):
        hp.Int("units", 2, 4)
        hp.Choice("activation", ["relu", "tanh"])
    assert kind in ("mlp", "cnn")


def model_of(build: Any) -> dict[str, Any]:
    return {"model": accepted({"model": build})["model"]}


def theirs(build: Any) -> dict[str, Any]:
    """KerasTuner's hyperparameters by name, after it has explored them."""
    tuner = keras_tuner.RandomSearch(
        lambda hp: build(hp) or _Nothing(), objective="val_loss", directory=_folder()
    )
    return {hp.name: hp for hp in tuner.oracle.get_space().space}


class _Nothing:
    """KerasTuner looks at no more of a model while it explores."""


def _folder() -> str:
    import tempfile

    return tempfile.mkdtemp()


def test_names_and_values_are_those_of_keras_tuner(tmp_path: Any) -> None:
    parameters = space.find(model_of(numbers))
    known = theirs(numbers)
    assert list(parameters) == list(known)
    source = random.Random(0)
    for name, hp in known.items():
        drawn = {parameters[name].draw(source) for _ in range(300)}
        if isinstance(hp, keras_tuner.engine.hyperparameters.Float) and hp.step is None:
            assert all(hp.min_value <= value <= hp.max_value for value in drawn)
        elif getattr(hp, "step", 1) is None:
            assert all(hp.min_value <= value <= hp.max_value for value in drawn), name
            assert all(isinstance(value, int) for value in drawn)
        else:
            values = [hp.value] if name == "filters" else list(hp.values)
            values = [int(v) if type(hp).__name__ == "Int" else v for v in values]
            assert drawn == set(values), name


@pytest.mark.parametrize("name", ["back", "lr", "momentum", "share", "width"])
def test_values_are_spread_as_keras_tuner_spreads_them(name: str) -> None:
    parameter, hp = space.find(model_of(numbers))[name], theirs(numbers)[name]
    source = random.Random(0)
    ours = sorted(parameter.draw(source) for _ in range(4000))
    quantiles = [0.1, 0.3, 0.5, 0.7, 0.9]
    expected = [hp.prob_to_value(q) for q in quantiles]
    observed = [ours[int(q * len(ours))] for q in quantiles]
    width = hp.max_value - hp.min_value
    assert observed == pytest.approx(expected, rel=0.12, abs=0.03 * width)


@pytest.mark.parametrize("build", [branched, scoped], ids=lambda build: build.__name__)
def test_values_are_there_exactly_where_keras_tuner_has_them(build: Any) -> None:
    document = model_of(build)
    hyperparameters = design({**document, "dataset": "data.h5"}).job_of
    for point in space.random(document, 40, 1):
        given = hyperparameters(point)["model"].hyperparameters
        hp = keras_tuner.HyperParameters()
        hp.values = dict(given)
        build(hp)
        assert hp.values == given
        ours = HyperParameters(given)
        build(ours)
        assert (ours.values, ours.unknown) == (hp.values, [])


def test_what_a_loop_asks_for_is_found_and_absent_where_it_is_not_asked() -> None:
    document = model_of(layered)
    names = [*(f"units_{i}" for i in range(3)), *(f"norm_{i}" for i in range(3))]
    names += [f"momentum_{i}" for i in range(3)]
    assert set(space.find(document)) == {"layers", *names}
    for point in space.random(document, 60, 3):
        hp = HyperParameters(point)
        layered(hp)
        assert (hp.values, hp.unknown) == (point, [])


@pytest.mark.parametrize("search", ["cmaes", "qmc", "random", "tpe"])
@pytest.mark.parametrize("build", [branched, layered, numbers], ids=lambda build: build.__name__)
def test_every_search_gives_a_function_all_that_it_asks_for(build: Any, search: str) -> None:
    document, trials = model_of(build), list[Trial]()
    asked = make_search(search, document, trials=8, seed=1, directions=["minimize"])
    for number in range(8):
        point = asked.next(trials)
        assert point is not None
        hp = HyperParameters({name.rpartition(".")[2]: value for name, value in point.items()})
        build(hp)
        assert (len(hp.values), hp.unknown) == (len(point), [])
        trials.append(Trial(number, point, state="complete", values=(float(number % 4),)))


def test_one_name_with_two_ranges_is_distinguished_by_its_scopes() -> None:
    assert list(space.find(model_of(branched))) == ["kind", "mlp.units", "activation", "cnn.units"]


def test_a_stored_design_has_the_same_space_and_grid() -> None:
    given = design({**model_of(branched), "dataset": "data.h5", "search": "grid", "trials": 9})
    stored = type(given).from_json(given.to_json())
    assert stored == given
    assert space.grid(stored.job, 9) == space.grid(given.job, 9)
    points = space.grid({"model": given.job["model"]})
    assert len(points) == 57 * 2 + 3 * 2
    assert all(("mlp.units" in point) == (point["kind"] == "mlp") for point in points)


class Tuned(keras_tuner.HyperModel):
    def __init__(self, classes: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.classes = classes

    def build(self, hp: Any) -> Any:
        hp.Int("units", 1, self.classes)


class Hidden(keras_tuner.HyperModel):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self._classes = classes

    def build(self, hp: Any) -> Any:
        hp.Int("units", 1, self._classes)


class Fitting(Tuned):
    def fit(self, hp: Any, model: Any, *args: Any, **more: Any) -> Any:
        return model.fit(*args, batch_size=hp.Choice("batch_size", [16, 32]), **more)


def test_a_hypermodel_object_is_made_again_from_its_attributes() -> None:
    model = accepted({"model": Tuned(7)})["model"]
    assert model["path"] == f"{__name__}:Tuned"
    assert model["arguments"]["classes"] == 7
    assert space.find({"model": model})["units"].high == 7


def needs_more(hp: Any) -> None:
    hp.Choice("empty", [])


def twice(hp: Any) -> None:
    hp.Choice("kind", ["a", "b"])
    hp.Int("units", 1, 4)
    hp.Int("units", 2, 9, parent_name="kind", parent_values=["a"])


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Hidden(3), "cannot be created again"),
        (Fitting(3), r"batch_size=ff\.choice"),
        (lambda hp: None, "lambda"),
        (needs_more, "'empty' has no values"),
        (twice, "'units' is defined with different values"),
    ],
    ids=["hidden", "fit", "lambda", "raises", "twice"],
)
def test_what_cannot_be_searched_is_refused_in_a_sentence(model: Any, text: str) -> None:
    with pytest.raises((SpecError, SearchError), match=text):
        accepted({"model": model})


def shifting(hp: Any) -> None:
    small = hp.Boolean("small")
    hp.Int("units", 1, 4 if small else 64)


def test_one_name_with_values_that_change_is_reported() -> None:
    with pytest.warns(UserWarning, match="asks for units with different values"):
        parameters = space.find(model_of(shifting))
    assert parameters["units"].high == 64


def test_objectives_of_keras_tuner_have_their_direction() -> None:
    objective = keras_tuner.Objective("val_f1", "max")
    assert accepted({"objective": objective}) == {"objective": "val_f1", "direction": "maximize"}
    both = accepted({"objective": [objective, keras_tuner.Objective("val_loss", "min")]})
    assert both["direction"] == ["maximize", "minimize"]
    with pytest.raises(SearchError, match="not both"):
        accepted({"objective": [objective, "val_loss"]})


def test_a_builder_keeps_the_hash_it_had() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = design({"model": {"builder": "mine:build", "units": 3}, "dataset": "d.h5"})
    assert plain.job["model"] == {"path": "mine:build", "arguments": {"units": 3}}
