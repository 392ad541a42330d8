"""Pruners by Optuna on rows of equal seed and fold; racing by the tests of the comparison."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from fitfleet.analysis.results import Curve
from fitfleet.errors import SearchError
from fitfleet.sweeps.search.pruning import Pruning, make_pruner
from fitfleet.sweeps.search.racing import next_repeats

EPOCHS = 9


def curve(number: int, level: float, upto: int = EPOCHS, replicate: int = 0, **more: Any) -> Curve:
    values = {epoch: level + 1.0 / epoch for epoch in range(1, upto + 1)}
    is_complete = upto == EPOCHS
    fields = {"is_open": not is_complete, "is_complete": is_complete, **more}
    fields.setdefault("final", values.get(upto, math.nan))
    return Curve(number, replicate, 100 * replicate + number, values, **fields)


def pruning(name: str, **options: Any) -> Pruning:
    return Pruning({"name": name, **options}, "sweep", "minimize", EPOCHS)


@pytest.mark.parametrize("name", ["median", "percentile"])
def test_the_worse_half_goes(name: str) -> None:
    done = [curve(n, 0.1 * n) for n in range(6)]
    pruned = pruning(name).to_prune([*done, curve(6, 5.0, 3), curve(7, -5.0, 3)])
    assert pruned == {6}


def test_no_verdict_before_there_is_something_to_compare() -> None:
    assert pruning("median").to_prune([curve(0, 1.0), curve(1, 9.0, 3)]) == set()


@pytest.mark.parametrize("name", ["successive_halving", "hyperband"])
def test_halving_lets_the_best_through(name: str) -> None:
    judge = pruning(name, reduction_factor=3)
    pruned: set[int] = set()
    for epoch in range(1, EPOCHS):
        curves = [curve(n, float(n % 9), epoch if n not in pruned else 1) for n in range(27)]
        pruned |= judge.to_prune(curves)
    assert 0 not in pruned
    assert len(pruned) >= 12
    assert sum(n % 9 for n in pruned) / len(pruned) > 4


def test_a_restarted_pruner_decides_as_before() -> None:
    done = [curve(n, 0.1 * n) for n in range(6)]
    lasting = pruning("median")
    for epoch in range(1, 4):
        verdict = lasting.to_prune([*done, curve(6, 5.0, epoch)])
    assert verdict == pruning("median").to_prune([*done, curve(6, 5.0, 3)]) == {6}


def test_like_is_compared_with_like() -> None:
    """Replicate 1 is a hard fold: its values are worse for every point, which harms none."""
    done = [curve(n, 0.1 * n, replicate=m) for n in range(6) for m in (0,)]
    done += [curve(n, 10 + 0.1 * n, replicate=1) for n in range(6)]
    assert pruning("median").to_prune([*done, curve(6, 9.9, 3, replicate=1)]) == set()
    assert pruning("median").to_prune([*done, curve(6, 9.9, 3, replicate=0)]) == {6}


def test_a_point_of_three_members_needs_two_votes() -> None:
    done = [curve(n, 0.1 * n, replicate=m) for n in range(6) for m in range(3)]
    good = [curve(6, -1.0, 3, replicate=1), curve(6, -1.0, 3, replicate=2)]
    assert pruning("median").to_prune([*done, curve(6, 5.0, 3), *good]) == set()
    assert pruning("median").to_prune([*done, curve(6, 5.0, 3), curve(6, 5.0, 3, 1), good[1]]) == {
        6
    }


@pytest.mark.parametrize("started", [1, 2, 3])
def test_one_seed_alone_condemns_no_point_of_several(started: int) -> None:
    done = [curve(n, 0.1 * n, replicate=m) for n in range(6) for m in range(3)]
    bad = curve(6, 5.0, 3)
    others = [curve(6, -1.0, 3 if m < started else 0, replicate=m) for m in (1, 2)]
    assert pruning("median").to_prune([*done, bad, *others]) == set()


def test_a_job_with_all_its_epochs_is_not_pruned() -> None:
    """Its last epoch is seen before it is known to have succeeded."""
    done = [curve(n, 0.1 * n) for n in range(6)]
    last = curve(6, 5.0, is_open=True, is_complete=False)
    only = {EPOCHS: last.values[EPOCHS]}
    seen = [*done, replace(last, values=only, epochs=EPOCHS)]
    assert pruning("median").to_prune(seen) == set()
    seen = [*done, replace(last, values=only, epochs=EPOCHS + 1)]
    assert pruning("median").to_prune(seen) == {6}


def test_a_job_taken_up_again_is_left_alone() -> None:
    done = [curve(n, 0.1 * n) for n in range(6)]
    assert pruning("median").to_prune([*done, curve(6, 5.0, 3, is_spared=True)]) == set()


def test_wilcoxon_gives_up_a_point_that_loses_pair_by_pair() -> None:
    best = [curve(0, 0.01 * m, replicate=m) for m in range(10)]
    loser = [curve(1, 1.0 + 0.01 * m, replicate=m) for m in range(8)]
    even = [curve(2, 0.01 * m + 0.001 * (-1) ** m, replicate=m) for m in range(8)]
    waiting = [curve(1, 1.0, 0, replicate=8), curve(2, 0.0, 0, replicate=8)]
    assert pruning("wilcoxon").to_prune([*best, *loser, *even, *waiting]) == {1}


def test_an_option_that_optuna_does_not_take() -> None:
    with pytest.raises(SearchError, match="refuses"):
        make_pruner({"name": "median", "patience": 3}, EPOCHS)
    with pytest.raises(SearchError, match="reduction_factor"):
        make_pruner({"name": "hyperband", "reduction_factor": 1}, EPOCHS)


def race(
    levels: dict[int, float], repeats: int, noise: float = 0.01
) -> dict[int, dict[Any, float]]:
    wobble = [0.0, 0.7, -0.4, 0.2, -0.9, 0.5, -0.1, 0.8, -0.6, 0.3]
    return {
        n: {m: level + noise * wobble[(m + 3 * n) % 10] for m in range(repeats)}
        for n, level in levels.items()
    }


def test_only_points_that_may_win_get_more() -> None:
    results = race({0: 0.10, 1: 0.101, 2: 5.0}, 3)
    assert next_repeats(results, {0: 3, 1: 3, 2: 3}, 10, "minimize") == {0: 4, 1: 4}


def test_the_race_ends() -> None:
    results = race({0: 0.10, 1: 5.0}, 3)
    assert next_repeats(results, {0: 3, 1: 3}, 10, "minimize") == {}
    even = race({0: 0.1, 1: 0.1}, 10)
    assert next_repeats(even, {0: 10, 1: 10}, 10, "minimize") == {}


def test_the_one_behind_catches_up_first() -> None:
    results = race({0: 0.1, 1: 0.1}, 3)
    assert next_repeats(results, {0: 4, 1: 3}, 10, "minimize") == {1: 4}
