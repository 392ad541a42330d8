"""Honest comparison of configurations that were run several times.

A configuration's value is the mean over its replicates (repeats and folds). Two configurations are
compared on the replicates they share (same seed, same fold), and the first is called better than
another only when a paired test says so after Holm's correction for the number of tests.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["minimize", "maximize"]
Verdict = Literal["best", "tie", "worse", "untested"]

ALPHA = 0.05


@dataclass(frozen=True)
class Summary:
    """Of the finite values of one configuration. `low`, `high`: 95 % t interval of the mean."""

    n: int
    mean: float
    std: float  # of the sample (n - 1); NaN for one value
    low: float
    high: float
    best: float
    worst: float


@dataclass(frozen=True)
class Comparison:
    """One configuration against the best one."""

    verdict: Verdict
    test: str  # "wilcoxon", "t", or "" when fewer than two replicates are shared
    pairs: int
    p: float  # after Holm's correction; NaN without a test


def summary(values: Sequence[float], direction: Direction) -> Summary:
    """Mean, spread and 95 % interval by Student's t with n - 1 degrees of freedom.

    Values that are not finite are left out; with none left everything is NaN and n is 0.
    """
    finite = [float(v) for v in values if math.isfinite(v)]
    n = len(finite)
    if n == 0:
        return Summary(0, *([math.nan] * 6))
    mean = _mean(finite)
    best, worst = min(finite), max(finite)
    if direction == "maximize":
        best, worst = worst, best
    if n == 1:
        return Summary(1, mean, math.nan, math.nan, math.nan, best, worst)
    std = _std(finite)
    half = _quantile(n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half, best, worst)


def _mean(values: Iterable[float]) -> float:
    """That of `summary`, which takes three times as long."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return math.nan
    scale = _scale(finite)
    return math.fsum(v / scale for v in finite) / len(finite) * scale


def _std(values: Sequence[float]) -> float:
    """Of the sample (n - 1); infinite where no number holds it."""
    scale = _scale(values)
    scaled = [v / scale for v in values]
    mean = math.fsum(scaled) / len(scaled)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in scaled) / (len(scaled) - 1)) * scale


def _scale(values: Iterable[float]) -> float:
    """1, or what values of a lost float64 fit are divided by so that their squares are numbers."""
    largest = max(map(abs, values))
    return 1.0 if largest == 0 or 1e-100 < largest < 1e100 else largest


@functools.cache
def _quantile(freedom: int) -> float:
    """Of Student's t, for the interval. Kept: it takes longer than all else of a summary."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - ALPHA / 2))


def paired_p(differences: Sequence[float], tests: int = 1) -> tuple[str, float]:
    """(name of the test, two-sided p) that the mean difference is zero.

    Wilcoxon's signed ranks where so many pairs could reach significance after correcting for
    `tests` tests (2 / 2**n < 0.05 / tests), else the paired t test: with three seeds no
    signed-rank test can ever tell two configurations apart. ("", NaN) for fewer than two pairs.
    """
    n = len(differences)
    if n < 2:
        return "", math.nan
    is_wilcoxon = 2.0 ** (1 - n) < ALPHA / max(tests, 1)
    name = "wilcoxon" if is_wilcoxon else "t"
    if all(d == 0 for d in differences):
        return name, 1.0
    if is_wilcoxon:
        from scipy import stats

        return name, float(stats.wilcoxon(differences).pvalue)
    if max(differences) == min(differences):
        return name, 0.0  # no spread at all: the t statistic is infinite
    return name, _t_test(differences)


def _t_test(differences: Sequence[float]) -> float:
    """What `scipy.stats.ttest_1samp` gives, which takes a hundred times as long."""
    from scipy.special import stdtr

    n, scale = len(differences), _scale(differences)
    differences = [d / scale for d in differences]
    mean = math.fsum(differences) / n
    variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
    if not variance > 0:  # differences that are equal but for their last digits
        return 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / math.sqrt(variance / n)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given; NaN is passed over.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = highest
    return adjusted


def against_best(
    replicates: Sequence[Mapping[Hashable, float]], direction: Direction
) -> list[Comparison]:
    """Each configuration against the one with the best mean, in the order given.

    `replicates[i]` maps what pairs two runs (seed, fold) to the value of configuration i.
    """
    means = [_mean(m.values()) for m in replicates]
    first = best_index(means, direction)
    if first is None:
        return [Comparison("untested", "", 0, math.nan) for _ in replicates]
    others = [i for i in range(len(replicates)) if i != first and not math.isnan(means[i])]
    differences = {i: _differences(replicates[first], replicates[i]) for i in others}
    tested = [paired_p(differences[i], len(others)) for i in others]
    adjusted = holm([p for _, p in tested])
    result = [Comparison("untested", "", 0, math.nan) for _ in replicates]
    result[first] = Comparison("best", "", 0, math.nan)
    for i, (name, _), p in zip(others, tested, adjusted, strict=True):
        result[i] = Comparison(_verdict(p), name, len(differences[i]), p)
    return result


def best_index(means: Sequence[float], direction: Direction) -> int | None:
    """Index of the best mean; None when all are NaN."""
    known = [(mean, i) for i, mean in enumerate(means) if not math.isnan(mean)]
    if not known:
        return None
    if direction == "minimize":
        return min(known)[1]
    return max(known, key=lambda pair: (pair[0], -pair[1]))[1]


def pareto(values: Sequence[Sequence[float]], directions: Sequence[Direction]) -> list[bool]:
    """Whether no other configuration is at least as good in all objectives and better in one.

    A configuration with a NaN is never in the set.
    """
    signs = [1.0 if d == "minimize" else -1.0 for d in directions]
    costs = [[s * v for s, v in zip(signs, row, strict=True)] for row in values]
    complete = [not any(math.isnan(v) for v in row) for row in costs]
    return [
        complete[i]
        and not any(_dominates(costs[j], row) for j in range(len(costs)) if j != i and complete[j])
        for i, row in enumerate(costs)
    ]


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(
        x < y for x, y in zip(a, b, strict=True)
    )


def _differences(a: Mapping[Hashable, float], b: Mapping[Hashable, float]) -> list[float]:
    shared = [key for key in a if key in b]
    differences = [a[key] - b[key] for key in shared]
    return [d for d in differences if math.isfinite(d)]


def _verdict(p: float) -> Verdict:
    if math.isnan(p):
        return "untested"
    return "worse" if p < ALPHA else "tie"
