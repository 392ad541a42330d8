"""The comparison table: pairing, by, filters, several objectives."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fitfleet.analysis.objective import Objective
from fitfleet.analysis.ranking import rank
from fitfleet.analysis.runs import Run
from fitfleet.errors import FitfleetError

LOSS = Objective("val_loss", "minimize")
SECONDS = Objective("seconds", "minimize")


def runs(repeats: int = 4) -> list[Run]:
    rows = []
    for number, (units, rate, level) in enumerate(
        [(8, 0.1, 0.5), (8, 0.01, 0.3), (16, 0.1, 0.45), (16, 0.01, 0.25), (32, 0.01, 0.2501)]
    ):
        for seed in range(repeats):
            value = level + 0.01 * seed + 0.001 * ((seed * 5 + number * 3) % 7 - 3)
            params = {"units": units, "rate": rate}
            rows.append(Run(params, seed, None, (value, units / 8), units / 8, True, number))
    return rows


def test_best_first_with_ties_marked() -> None:
    table = rank(runs(), [LOSS])
    assert list(table["trial"][:2]) == [3, 4] or list(table["trial"][:2]) == [4, 3]
    assert list(table["verdict"]) == ["best", "tie", "worse", "worse", "worse"]
    assert set(table["test"][1:]) == {"t"}
    assert (table["low"] < table["mean"]).all() and (table["mean"] < table["high"]).all()
    assert table.attrs == {"metric": "val_loss", "direction": "minimize", "at": "last"}
    assert list(table["n"]) == [4] * 5


def test_by_one_parameter_pairs_over_the_others() -> None:
    table = rank(runs(), [LOSS], by="rate", where="units < 32")
    assert list(table.columns[:1]) == ["rate"] and "trial" not in table
    assert list(table["rate"]) == [0.01, 0.1] and list(table["n"]) == [8, 8]
    assert table["verdict"][1] == "worse" and table["test"][1] == "wilcoxon"


def test_failed_runs_are_counted_and_left_out() -> None:
    bad = Run({"units": 8, "rate": 0.1}, 9, None, (math.nan, 1.0), 0.0, False, 0)
    table = rank([*runs(), bad], [LOSS], where="units == 8 and rate == 0.1")
    assert (table["n"][0], table["incomplete"][0]) == (4, 1)


def test_the_numbers_are_those_of_scipy() -> None:
    values = {"a": [0.31, 0.35, 0.29, 0.33], "b": [0.41, 0.40, 0.42, 0.48]}
    rows = [
        Run({"name": name}, seed, None, (value,), 1.0, True, group=name)
        for name, column in values.items()
        for seed, value in enumerate(column)
    ]
    table = rank(rows, [LOSS]).set_index("name")
    for name, column in values.items():
        low, high = stats.t.interval(0.95, 3, np.mean(column), stats.sem(column))
        row = table.loc[name]
        assert row[["mean", "std"]].tolist() == pytest.approx(
            [np.mean(column), np.std(column, ddof=1)]
        )
        assert row[["low", "high"]].tolist() == pytest.approx([low, high])
    assert table["p"]["b"] == pytest.approx(stats.ttest_rel(values["a"], values["b"]).pvalue)
    assert (table["test"]["b"], table["verdict"]["b"]) == ("t", "worse")


def test_configurations_with_equal_params_and_other_epochs_are_two() -> None:
    rows = [
        Run(
            {"units": 8},
            seed,
            None,
            (1.0 / epochs + seed / 100,),
            1.0,
            True,
            epochs=epochs,
            group=f"e{epochs}",
        )
        for epochs in (3, 4)
        for seed in range(3)
    ]
    table = rank(rows, [LOSS])
    assert list(table["epochs"]) == [4, 3] and list(table["n"]) == [3, 3]
    assert list(table["mean"]) == pytest.approx([0.26, 1 / 3 + 0.01])
    assert table["verdict"][1] == "worse"
    # Over the values of a parameter, like is paired with like.
    other = [replace(run, params={"units": 16}, group=f"{run.group}x") for run in rows]
    by = rank([*rows, *other], [LOSS], by="units")
    assert list(by["n"]) == [6, 6] and "epochs" not in by and set(by["verdict"]) == {"best", "tie"}


def test_a_configuration_of_which_a_run_diverged_is_not_the_best() -> None:
    good = [Run({"rate": 0.1}, s, None, (0.5,), 1.0, True, group="a") for s in range(3)]
    bad = [
        Run(
            {"rate": 9.0},
            s,
            None,
            (0.1 if s else math.nan,),
            1.0,
            True,
            group="b",
            nan_epoch=None if s else 2,
        )
        for s in range(3)
    ]
    table = rank([*bad, *good], [LOSS])
    assert list(table["rate"]) == [0.1, 9.0]
    assert list(table["diverged"]) == [0, 1] and list(table["incomplete"]) == [0, 1]
    assert list(table["n"]) == [3, 2] and table["verdict"][1] == "untested"


def test_labels_that_differ_between_repeats_make_no_configuration() -> None:
    rows = [
        Run({"name": f"run {s}", "units": 8}, s, None, (1.0 + s,), 1.0, True, group="a")
        for s in range(3)
    ]
    table = rank(rows, [LOSS])
    assert list(table["n"]) == [3] and table["name"].isna().all() and list(table["units"]) == [8]


def test_a_parameter_named_like_a_column_keeps_its_values() -> None:
    rows = [Run({"mean": n, "test": "t"}, 0, None, (float(n),), 1.0, True) for n in (1, 2)]
    table = rank(rows, [LOSS])
    assert list(table["params.mean"]) == [1, 2] and list(table["mean"]) == [1.0, 2.0]
    assert list(table["params.test"]) == ["t", "t"]


def test_a_trial_that_was_cut_short_is_not_the_best() -> None:
    lucky = Run({"units": 64, "rate": 0.01}, 0, None, (0.01, 1.0), 1.0, True, 9, is_complete=False)
    table = rank([*runs(), lucky], [LOSS])
    assert table["trial"].iloc[-1] == 9 and table["verdict"].iloc[-1] == "untested"
    assert table["verdict"][0] == "best"


def test_several_objectives_have_a_pareto_set() -> None:
    table = rank(runs(), [LOSS, SECONDS]).set_index("trial")
    assert {n for n in table.index if table["pareto"][n]} >= {1, 3}
    assert not table["pareto"][0]


def test_seconds_may_be_an_objective_and_are_shown_once() -> None:
    table = rank(runs(), [LOSS, SECONDS])
    assert list(table.columns).count("seconds") == 1


def test_what_was_cut_short_is_in_no_pareto_set() -> None:
    lucky = Run({"units": 64, "rate": 0.01}, 0, None, (0.01, 0.1), 0.1, True, 9, is_complete=False)
    table = rank([*runs(), lucky], [LOSS, SECONDS]).set_index("trial")
    assert not table["pareto"][9] and table["pareto"].any()


def test_names_with_a_dot_need_no_marks_in_a_filter() -> None:
    dotted = [replace(run, params={"a.rate": run.params["rate"]}) for run in runs()]
    for where in ("a.rate > 0.05", "`a.rate` > 0.05"):
        assert set(rank(dotted, [LOSS], where=where)["a.rate"]) == {0.1}


def test_rank_gives_the_top_rows_and_none_of_no_runs() -> None:
    assert len(rank(runs(), [LOSS], top=2)) == 2
    assert len(rank([], [LOSS])) == 0


def test_rank_rejects_bad_arguments() -> None:
    with pytest.raises(FitfleetError, match="there are units, rate"):
        rank(runs(), [LOSS], by="colour")
    with pytest.raises(FitfleetError, match="cannot be evaluated over units, rate"):
        rank(runs(), [LOSS], where="colour > 3")
