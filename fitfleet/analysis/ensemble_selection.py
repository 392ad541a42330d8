"""Choosing an ensemble: forward selection with replacement, after Caruana et al. (ICML 2004)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fitfleet.analysis.statistics import Direction

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Chosen(Generic[K]):
    """How often each candidate is in the ensemble, and what its score is."""

    counts: dict[K, int]
    score: float
    single: K  # the best candidate alone
    single_score: float


def choose(
    candidates: Sequence[K],
    score: Callable[[Counter[K]], float],
    direction: Direction,
    *,
    top: int,
    rounds: int,
) -> Chosen[K]:
    """Of the bags that grow by the best next candidate, up to `rounds` of them, the best one.

    `score` is of the mean over a bag. A bag has at most `top` different candidates. The first bag
    is the best candidate alone, so the result is never worse; of equal ones the smallest counts,
    of equal candidates the first. A score that is no number is the worst.
    """
    sign = 1.0 if direction == "minimize" else -1.0

    known: dict[frozenset[tuple[K, int]], float] = {}

    def cost(bag: Counter[K]) -> float:
        parts = math.gcd(*bag.values())
        shares = frozenset((candidate, count // parts) for candidate, count in bag.items())
        if shares not in known:
            value = sign * score(bag)
            known[shares] = math.inf if math.isnan(value) else value
        return known[shares]

    bag: Counter[K] = Counter()
    bags: list[tuple[float, Counter[K]]] = []
    for _ in range(rounds):
        open_to = candidates if len(bag) < top else list(bag)
        costs = [
            (cost(bag + Counter([candidate])), index) for index, candidate in enumerate(open_to)
        ]
        lowest, index = min(costs)
        bag = bag + Counter([open_to[index]])
        bags.append((lowest, bag))
    single_cost, single = bags[0]
    best_cost, best = min(bags, key=lambda pair: pair[0])
    (first,) = single
    return Chosen(dict(best), sign * best_cost, first, sign * single_cost)
