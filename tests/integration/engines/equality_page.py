"""docs/reference/equality.md, from what the matrix of equality has measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix import Pair

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "equality.md"
HEAD = """# Which engine equals Keras's own fit

<!-- Written by `make matrix`. -->

Every layer, loss, metric, activation and optimizer below was trained in a small branch of a model,
for two epochs with a partial last batch and with validation, by an engine and by Keras's own `fit`,
from the same seed. A pair is one branch under one condition (masks, weights of samples, steps and
classes) by one engine; histories, weights and, where a model has one branch, the optimizer's
variables are compared.

- **loop** (one job after the other by a traced program) is compared in float32: it has to be equal
  to the bit.
- **fused** (jobs in one stack) is compared in float64: equal means to 1e-10 of each variable's
  largest number. In float32 no small fixed tolerance exists (docs/explanation/same-result.md).

A pair whose numbers by `fit` are NaN or infinite shows nothing, and counts as not trained.

What has not been found equal here, or in `tests/integration/engines/test_fused.py`, is not fused
but looped, and what cannot be traced at all is trained as `fit` does. The list of what goes into a
stack is held by `tests/unit/worker/test_proven.py` to `tests/integration/engines/equality.csv`,
from which this page is written. Measured so far; a group that is not in the table, or not whole,
waits for its run:
"""
_VERDICTS = {
    "bits": "equal to the bit",
    "float64": "equal to 1e-10 in float64",
    "other": "other numbers",
    "not": "not trained so",
}


def write(pairs: Sequence[Pair]) -> None:
    """Write the page."""
    PAGE.write_text("\n".join([HEAD, *_summary(pairs), *_stacked(), *_refused(pairs), ""]))


def _summary(pairs: Sequence[Pair]) -> Iterable[str]:
    counts = Counter((pair.group, pair.engine, pair.verdict) for pair in pairs)
    yield "| group | engine | pairs | " + " | ".join(_VERDICTS.values()) + " |"
    yield "| --- | --- |" + " ---: |" * (len(_VERDICTS) + 1)
    for group, engine in dict.fromkeys((pair.group, pair.engine) for pair in pairs):
        numbers = [counts[group, engine, verdict] for verdict in _VERDICTS]
        yield f"| {group} | {engine} | {sum(numbers)} | " + " | ".join(map(str, numbers)) + " |"
    total = Counter(pair.verdict for pair in pairs)
    shown = " | ".join(str(total[verdict]) for verdict in _VERDICTS)
    yield f"| all | | {len(pairs)} | {shown} |"


def _stacked() -> Iterable[str]:
    from fitfleet.worker.engines import proven_classes

    yield "\n## What goes into a stack\n"
    yield "| kind | classes |"
    yield "| --- | --- |"
    for kind, names in proven_classes._IN_A_STACK.items():
        yield f"| {kind} | {', '.join(sorted(names))} |"


def _refused(pairs: Sequence[Pair]) -> Iterable[str]:
    yield "\n## Not equal, or not trained so\n"
    yield "| pair | group | engine | why, or the largest difference |"
    yield "| --- | --- | --- | --- |"
    for pair in pairs:
        if pair.verdict in ("other", "not"):
            why = pair.reason.replace("|", "/") or f"{pair.distance:.1g}"
            yield f"| {pair.name} | {pair.group} | {pair.engine} | {why} |"
