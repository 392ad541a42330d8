"""Configurations compared: mean, interval, best and worst, and what paired tests can tell.

A configuration is all that its jobs have in common but seed and fold, the number of epochs
included. A seed and fold counts once, with its newest run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.columns import param_columns
from fitfleet.analysis.objective import Objective
from fitfleet.analysis.results import Results
from fitfleet.analysis.runs import Run
from fitfleet.analysis.statistics import (
    Direction,
    against_best,
    best_index,
    pareto,
    summary,
)
from fitfleet.errors import FitfleetError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

_COUNTS = ("n", "incomplete", "diverged")
_MEANS = ("mean", "std", "low", "high", "best", "worst")
_TESTS = ("verdict", "test", "p")


def rank(
    runs: Sequence[Run],
    wanted: Sequence[Objective],
    *,
    by: str | Sequence[str] | None = None,
    where: str | None = None,
    top: int | None = None,
) -> pd.DataFrame:
    """One row per configuration, best mean first.

    One of which runs were pruned, failed or diverged comes after the complete ones and is not
    tested. With `by`, a row is the jobs with equal values of these params, and all else is paired
    (two units are compared at the same rate, epochs, seed and fold). `where` is a filter in the
    words of `DataFrame.query` over the params, such as "units > 16".

    Columns: `trial`, the params, `epochs` where they differ, `n` (runs with a value), `incomplete`
    (all others: failed, cancelled, pruned, diverged), `diverged` (those whose loss became NaN or
    infinite), then of the first objective `mean`, `std`, `low`, `high` (95 % t interval), `best`,
    `worst`; `verdict` (best, tie, worse, untested), `test` (t or wilcoxon, paired), `p` (after
    Holm); the means of further objectives by their names and `pareto`; `seconds`, the mean time
    of a run. A param that is named like another column is `params.` and its name.
    """
    import pandas as pd

    names = list(dict.fromkeys(name for run in runs for name in run.params))
    chosen = _chosen(by, names)
    others = [o.name for o in wanted[1:]] + (["pareto"] if len(wanted) > 1 else [])
    # An objective may be the seconds, which are shown once.
    after_params = list(dict.fromkeys(["epochs", *_COUNTS, *_MEANS, *_TESTS, *others, "seconds"]))
    columns = param_columns(chosen, ["trial", *after_params])
    groups = _grouped(_filtered(runs, names, where), chosen, is_by=by is not None)
    complete = [by is not None or _is_complete(group) for group in groups]
    rows = [_row(group, columns, wanted) for group in groups]
    _test(rows, groups, complete, chosen, wanted, is_by=by is not None)
    table = pd.DataFrame(rows, columns=["trial", *columns.values(), *after_params])
    if by is not None or all(run.trial is None for run in runs):
        table = table.drop(columns="trial")
    if by is not None or table["epochs"].nunique() < 2:
        table = table.drop(columns="epochs")
    direction = wanted[0].direction
    order = _order(rows, complete, 1.0 if direction == "minimize" else -1.0)
    table = table.iloc[order].reset_index(drop=True)
    table.attrs.update(metric=wanted[0].name, direction=direction, at=wanted[0].at)
    return table if top is None else table.head(top)


def _row(
    group: Sequence[Run], columns: dict[str, str], wanted: Sequence[Objective]
) -> dict[str, Any]:
    good = [run for run in group if run.has_succeeded]
    mean = summary([run.values[0] for run in good], wanted[0].direction)
    row: dict[str, Any] = {"trial": group[0].trial, "epochs": group[0].epochs}
    row |= {columns[name]: _shared(group, name) for name in columns}
    row |= {"n": mean.n, "incomplete": len(group) - mean.n}
    row["diverged"] = sum(run.nan_epoch is not None and not run.has_value for run in group)
    row |= {name: getattr(mean, name) for name in _MEANS}
    for i, objective in enumerate(wanted[1:], 1):
        row[objective.name] = summary([r.values[i] for r in good], objective.direction).mean
    row["seconds"] = _mean([run.seconds for run in good])
    return row


def _shared(group: Sequence[Run], name: str) -> Any:
    """The value that all of them have; None where they differ, as labels of repeats do."""
    first = group[0].params.get(name)
    return first if all(run.params.get(name) == first for run in group) else None


def _test(
    rows: Sequence[dict[str, Any]],
    groups: Sequence[Sequence[Run]],
    complete: Sequence[bool],
    chosen: Sequence[str],
    wanted: Sequence[Objective],
    *,
    is_by: bool,
) -> None:
    """Write down what can be told: against the best one, and of several objectives."""
    paired = [
        _paired(g, chosen, is_by=is_by) if is_complete else {}
        for g, is_complete in zip(groups, complete, strict=True)
    ]
    directions: list[Direction] = [objective.direction for objective in wanted]
    for row, comparison in zip(rows, against_best(paired, directions[0]), strict=True):
        row |= {"verdict": comparison.verdict, "test": comparison.test, "p": comparison.p}
    if len(wanted) > 1:
        means = [
            [row["mean"] if is_complete else math.nan, *(row[o.name] for o in wanted[1:])]
            for row, is_complete in zip(rows, complete, strict=True)
        ]
        for row, is_best in zip(rows, pareto(means, directions), strict=True):
            row["pareto"] = is_best


def _order(rows: Sequence[dict[str, Any]], complete: Sequence[bool], sign: float) -> list[int]:
    """Best mean first; then what was cut short, whose mean is of those that were not."""

    def cost(i: int) -> tuple[bool, bool, float]:
        mean = float(rows[i]["mean"])
        return not complete[i], math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return sorted(range(len(rows)), key=cost)


def _chosen(by: str | Sequence[str] | None, names: Sequence[str]) -> list[str]:
    if by is None:
        return list(names)
    chosen = [by] if isinstance(by, str) else list(by)
    for name in chosen:
        if name not in names:
            raise FitfleetError(
                f"by: {name!r} is not a parameter here; there are {', '.join(names)}"
            )
    return chosen


def _filtered(runs: Sequence[Run], names: Sequence[str], where: str | None) -> list[Run]:
    if where is None or not runs:
        return list(runs)
    import pandas as pd

    table = pd.DataFrame([{name: run.params.get(name) for name in names} for run in runs])
    try:
        kept = table.query(_quoted(where, names)).index
    except Exception as error:  # pandas raises many kinds for a bad expression
        raise FitfleetError(
            f"where: {where!r} cannot be evaluated over {', '.join(names)}: {error}"
        ) from None
    return [runs[i] for i in kept]


def _quoted(where: str, names: Sequence[str]) -> str:
    """With the marks that pandas wants around a name such as optimizer.learning_rate."""
    dotted = sorted((name for name in names if not name.isidentifier()), key=len, reverse=True)
    for name in dotted:
        where = re.sub(rf"(?<![\w.`]){re.escape(name)}(?![\w.`])", f"`{name}`", where)
    return where


def _grouped(runs: Sequence[Run], chosen: Sequence[str], *, is_by: bool) -> list[list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        params = [run.params.get(name) for name in chosen]
        # A trial that was extended in part is two configurations.
        of_trial = [run.group] if run.group is not None else [params, run.epochs]
        key = json.dumps(params if is_by else of_trial, sort_keys=True)
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _is_complete(group: Sequence[Run]) -> bool:
    """Whether its mean stands for it: what is left of those that were cut short is the luckier."""
    return all(run.is_complete and (run.group is None or run.has_value) for run in group)


def _paired(group: Sequence[Run], chosen: Sequence[str], *, is_by: bool) -> dict[Hashable, float]:
    """What pairs a run with one of another configuration -> its value."""
    by_pair: dict[Hashable, list[float]] = {}
    for run in group:
        rest = {name: value for name, value in run.params.items() if name not in chosen}
        epochs = run.epochs if is_by else None
        key = (run.seed, run.fold, epochs, json.dumps(rest, sort_keys=True))
        if run.has_value:
            by_pair.setdefault(key, []).append(run.values[0])
    return {key: _mean(values) for key, values in by_pair.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def best_trial(results: Results) -> int:
    """The complete trial with the best mean. NotFoundError while there is none."""
    trials = [trial for trial in results.trials() if trial.state == "complete"]
    first = best_index([trial.values[0] for trial in trials], results.wanted[0].direction)
    if first is None:
        raise NotFoundError("the sweep has no complete trial to choose from yet")
    return trials[first].number
