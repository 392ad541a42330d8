"""The study is a function of the rows: live, rebuilt, and plain Optuna ask for the same points."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest

import fitfleet as ff
from fitfleet.analysis.results import Trial
from fitfleet.errors import MissingExtraError, SearchError
from fitfleet.sweeps.search.search import Search, key_of, make_search
from fitfleet.sweeps.spaces.space import Point

# PyTorch is an extra of its own, and large: `gp` is held to the same wherever that is installed.
HAS_TORCH = importlib.util.find_spec("torch") is not None
LEARNING = ["tpe", "cmaes", "qmc", *(["gp"] if HAS_TORCH else [])]
DOCUMENT = {
    "learning_rate": ff.log_uniform(1e-4, 1e-1),
    "units": ff.choice([16, 32, 64]),
    "dropout": ff.uniform(0, 0.5),
    "depth": ff.integers(1, 4),
}


def cost(point: Point) -> float:
    return float(
        abs(point["learning_rate"] - 0.01) * 10
        + point["dropout"]
        + point["units"] / 100
        + point["depth"] / 10
    )


def searcher(name: str, document: Any = DOCUMENT, trials: int = 30) -> Search:
    return make_search(name, document, trials=trials, seed=7, directions=["minimize"])


def ask_all(make: Callable[[int], Search], count: int, width: int = 1) -> list[Trial]:
    """Run a sweep with `width` trials open at a time; `make(i)` gives the driver of question i."""
    trials: list[Trial] = []
    while len(trials) < count:
        pending = frozenset(t.number for t in trials if t.state == "pending")
        point = make(len(trials)).next(trials)
        assert point is not None
        trials.append(Trial(len(trials), point, pending))
        if len(pending) + 1 >= width:
            oldest = min(t.number for t in trials if t.state == "pending")
            done = trials[oldest]
            trials[oldest] = replace(done, state="complete", values=(cost(done.point),))
    return trials


def plain_optuna(sampler: Any, count: int) -> list[Point]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler)
    asked: list[Point] = []

    def objective(trial: optuna.Trial) -> float:
        point = {
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            "units": trial.suggest_categorical("units", [16, 32, 64]),
            "dropout": trial.suggest_float("dropout", 0, 0.5),
            "depth": trial.suggest_int("depth", 1, 4),
        }
        asked.append(point)
        return cost(point)

    study.optimize(objective, n_trials=count)
    return asked


def plain_sampler(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "tpe": lambda: optuna.samplers.TPESampler(seed=7),
            "gp": lambda: optuna.samplers.GPSampler(seed=7, warn_independent_sampling=False),
            "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=7, warn_independent_sampling=False),
            "qmc": lambda: optuna.samplers.QMCSampler(
                seed=7,
                scramble=True,
                warn_independent_sampling=False,
                warn_asynchronous_seeding=False,
            ),
        }[name]()


@pytest.mark.parametrize("name", LEARNING)
def test_one_at_a_time_it_is_plain_optuna(name: str) -> None:
    live = searcher(name)
    asked = ask_all(lambda _: live, 30)
    assert [t.point for t in asked] == plain_optuna(plain_sampler(name), 30)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("name", [*LEARNING, "random"])
def test_a_driver_that_dies_after_every_suggestion_suggests_the_same(name: str, width: int) -> None:
    live = searcher(name)
    assert ask_all(lambda _: searcher(name), 24, width) == ask_all(lambda _: live, 24, width)


@pytest.mark.parametrize("name", [*LEARNING, "random", "grid"])
def test_no_point_is_suggested_twice(name: str) -> None:
    small = {"a": ff.choice([1, 2, 3]), "b": ff.choice(["x", "y"])}
    search = searcher(name, small)
    trials: list[Trial] = []
    while (point := search.next(trials)) is not None:
        value = float(point["a"])
        trials.append(Trial(len(trials), point, state="complete", values=(value,)))
    assert len({key_of(t.point) for t in trials}) == len(trials) == 6


def test_another_drivers_trials_are_taken_in() -> None:
    mine = searcher("tpe")
    first = mine.next([])
    assert first is not None
    foreign = {"learning_rate": 0.002, "units": 32, "dropout": 0.25, "depth": 2}
    trials = [Trial(0, foreign, state="complete", values=(0.3,))]
    assert mine.next(trials) == first  # the question it lost the race for is still a good one
    trials.append(Trial(1, first))
    second = mine.next(trials)
    assert second not in (first, foreign, None)


def test_pruned_failed_and_refused_trials_do_not_stop_it() -> None:
    search = searcher("tpe")
    trials: list[Trial] = []
    for state in ("pruned", "failed", "refused", "complete") * 5:
        point = search.next(trials)
        assert point is not None
        curve = {1: 0.5, 2: 0.4} if state == "pruned" else {}
        values = (cost(point),) if state == "complete" else ()
        trials.append(Trial(len(trials), point, state=state, values=values, curve=curve))
    assert len({key_of(t.point) for t in trials}) == 20


def test_options_may_be_lists() -> None:
    search = searcher("tpe", {"sizes": ff.choice([[8], [8, 8]]), "rate": ff.uniform(0, 1)})
    point = search.next([])
    assert point is not None and point["sizes"] in ([8], [8, 8])


@pytest.mark.parametrize(
    ("name", "document", "says"),
    [
        ("tpe", {"units": 3}, "no search space"),
        ("bayes", DOCUMENT, "not one of grid, random, tpe, gp, cmaes, qmc"),
        ("grid", DOCUMENT, "log_uniform has no grid"),
        ("grid", {c: ff.choice(list(range(100))) for c in "abc"}, "1,000,000 points"),
    ],
)
def test_a_bad_search_is_rejected_with_its_reason(name: str, document: Any, says: str) -> None:
    trials = None if name == "grid" else 30
    with pytest.raises(SearchError, match=says):
        make_search(name, document, trials=trials, seed=7, directions=["minimize"])


def test_a_search_needs_a_number_of_trials() -> None:
    with pytest.raises(SearchError, match="needs to know how many points"):
        make_search("tpe", DOCUMENT, trials=None, seed=0, directions=["minimize"])


def test_gp_says_what_it_needs() -> None:
    if not HAS_TORCH:
        with pytest.raises(MissingExtraError, match=r"torch.*fitfleet\[gp\]"):
            searcher("gp")
    else:
        assert searcher("gp").next([]) is not None


CONDITIONAL = {
    "optimizer": ff.choice(
        [
            {"Adam": {"learning_rate": ff.log_uniform(1e-4, 1e-1)}},
            {"SGD": {"learning_rate": ff.log_uniform(1e-3, 1), "momentum": ff.choice([0, 0.9])}},
        ]
    ),
    "units": ff.choice([16, 32]),
}


@pytest.mark.parametrize("name", LEARNING)
def test_optuna_is_not_given_what_an_option_leaves_out(name: str) -> None:
    def value(point: Point) -> float:
        return float(point[f"optimizer.{point['optimizer']}.learning_rate"] + point["units"] / 100)

    live, trials = searcher(name, CONDITIONAL, 12), []
    for number in range(12):
        point = live.next(trials)
        assert point is not None
        # One that is rebuilt from the rows asks for the same.
        assert number % 4 or searcher(name, CONDITIONAL, 12).next(trials) == point
        trials.append(Trial(number, point, state="complete", values=(value(point),)))
        assert ("optimizer.SGD.momentum" in point) == (point["optimizer"] == "SGD")
    asked = [bound.params for bound in live._bound.values()]  # type: ignore[attr-defined]
    assert [set(params) for params in asked] == [set(trial.point) for trial in trials[:-1]]
    assert {trial.point["optimizer"] for trial in trials} == {"Adam", "SGD"}
