"""Racing: after its least number of repeats, a point gets more only while it may still win."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from fitfleet.analysis.statistics import Direction, against_best


def next_repeats(
    results: Mapping[int, Mapping[Hashable, float]],
    repeats: Mapping[int, int],
    max_repeats: int,
    direction: Direction,
) -> dict[int, int]:
    """Trial's number -> how many repeats it should have now.

    `results[number]` maps replicate to value, `repeats[number]` counts the repeats that were asked
    for and have all ended. The best point and those that the paired tests cannot tell from it get
    one more each, until one is left or all have `max_repeats`.
    """
    numbers = sorted(results)
    comparisons = against_best([results[number] for number in numbers], direction)
    alive = [n for n, c in zip(numbers, comparisons, strict=True) if c.verdict in ("best", "tie")]
    if len(alive) < 2:
        return {}
    # The one that is behind catches up first: pairs are what the tests live on.
    fewest = min(repeats[number] for number in alive)
    if fewest >= max_repeats:
        return {}
    return {number: fewest + 1 for number in alive if repeats[number] == fewest}
