"""Statistics against SciPy's own answers and against values known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fitfleet.analysis import statistics as st


def test_the_interval_is_students() -> None:
    values = [0.91, 0.94, 0.90, 0.93]
    summary = st.summary(values, "maximize")
    low, high = stats.t.interval(
        0.95, 3, loc=sum(values) / 4, scale=stats.tstd(values) / math.sqrt(4)
    )
    assert summary.n == 4
    assert (summary.low, summary.high) == (pytest.approx(low), pytest.approx(high))
    assert (summary.best, summary.worst) == (0.94, 0.90)
    assert summary.std == pytest.approx(stats.tstd(values))


def test_one_value_has_no_interval() -> None:
    summary = st.summary([2.0, math.nan], "minimize")
    assert (summary.n, summary.mean, summary.best) == (1, 2.0, 2.0)
    assert math.isnan(summary.low) and math.isnan(summary.std)


def test_a_summary_of_no_finite_value_counts_none() -> None:
    assert st.summary([math.nan, math.inf], "minimize").n == 0


@pytest.mark.parametrize("unit", [1e-300, 1.0, 1e30, 1e200, 1e307])
def test_values_of_any_size_have_their_statistics(unit: float) -> None:
    """A float64 fit that is lost gives numbers whose squares are none."""
    values = [1.0, 2.5, 3.0, 7.0]
    near, far = st.summary(values, "minimize"), st.summary([unit * v for v in values], "minimize")
    for name in ("mean", "std", "low", "high", "best", "worst"):
        assert getattr(far, name) == pytest.approx(unit * getattr(near, name), rel=1e-12, abs=0)
    assert st.paired_p([unit * v for v in values]) == pytest.approx(st.paired_p(values))
    assert st.paired_p(values)[1] == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_holm_equals_an_example_by_hand() -> None:
    assert st.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_passes_nan_over() -> None:
    adjusted = st.holm([math.nan, 0.02])
    assert math.isnan(adjusted[0]) and adjusted[1] == 0.02


def test_three_pairs_use_t_and_ten_use_wilcoxon() -> None:
    three = [0.1, 0.12, 0.11]
    assert st.paired_p(three) == ("t", pytest.approx(stats.ttest_1samp(three, 0).pvalue))
    ten = [0.1 + 0.01 * i for i in range(10)]
    assert st.paired_p(ten) == ("wilcoxon", pytest.approx(stats.wilcoxon(ten).pvalue))


def test_wilcoxon_is_left_when_correction_makes_it_powerless() -> None:
    seven = [0.1 + 0.01 * i for i in range(7)]
    assert st.paired_p(seven, tests=1)[0] == "wilcoxon"
    assert st.paired_p(seven, tests=100)[0] == "t"


@pytest.mark.parametrize(("differences", "p"), [([0.0, 0.0], 1.0), ([0.5, 0.5, 0.5], 0.0)])
def test_differences_without_spread(differences: list[float], p: float) -> None:
    assert st.paired_p(differences) == ("t", p)


def test_one_pair_is_no_test() -> None:
    name, p = st.paired_p([1.0])
    assert name == "" and math.isnan(p)


def test_ties_are_distinguished_from_worse() -> None:
    best = {seed: 0.10 + 0.001 * seed for seed in range(5)}
    close = {seed: 0.10 + 0.001 * seed + (0.002 if seed % 2 else -0.001) for seed in range(5)}
    far = {seed: 0.50 + 0.001 * seed * (seed % 2) for seed in range(5)}
    alone = {99: 0.2}
    compared = st.against_best([far, best, close, alone], "minimize")
    assert [c.verdict for c in compared] == ["worse", "best", "tie", "untested"]
    assert compared[0].test == "t" and compared[0].pairs == 5 and compared[0].p < 0.05


def test_pairing_is_by_member_not_by_position() -> None:
    a = {("seed", 0): 1.0, ("seed", 1): 2.0, ("seed", 2): 3.5}
    b = {("seed", 2): 4.5, ("seed", 0): 2.0, ("seed", 1): 3.0}
    assert st.against_best([a, b], "minimize")[1].p == 0.0  # each exactly one worse


def test_a_diverged_configuration_is_never_best() -> None:
    compared = st.against_best([{0: math.nan}, {0: 3.0}], "minimize")
    assert [c.verdict for c in compared] == ["untested", "best"]


def test_the_pareto_set_has_the_points_that_none_dominates() -> None:
    rows = [(0.9, 10.0), (0.8, 5.0), (0.85, 10.0), (0.7, 20.0), (math.nan, 1.0), (0.8, 5.0)]
    assert st.pareto(rows, ["maximize", "minimize"]) == [True, True, False, False, False, True]


@pytest.mark.parametrize("seed", range(30))
def test_the_paired_test_is_that_of_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 6))
    differences = list(random.normal(random.normal(), 10.0 ** random.integers(-6, 3), count))
    name, p = st.paired_p(differences)
    assert name == "t"
    assert p == pytest.approx(float(stats.ttest_1samp(differences, 0.0).pvalue), rel=1e-9)
