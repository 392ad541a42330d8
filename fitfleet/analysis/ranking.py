"""Configurations compared: mean, interval, best and worst, and what paired tests can tell."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.objective import Objective
from fitfleet.analysis.results import Results, read_values
from fitfleet.analysis.statistics import against_best, best_index, pareto, summary
from fitfleet.db import lookup
from fitfleet.db.session import Database
from fitfleet.db.trials import MemberRow
from fitfleet.errors import FitfleetError, NotFoundError
from fitfleet.states import JobStatus

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """One job as far as a comparison looks at it."""

    params: dict[str, Any]
    seed: int
    fold: int | None
    values: tuple[float, ...]  # one an objective; NaN where it has none
    seconds: float
    has_succeeded: bool
    trial: int | None = None
    is_whole: bool = True  # all jobs of its trial have succeeded


def sweep_runs(results: Results) -> list[Run]:
    """The ended jobs of a sweep."""
    points = {row.number: row.point for row in results.rows}
    whole = {trial.number for trial in results.trials() if trial.state == "complete"}
    nothing = (math.nan,) * len(results.wanted)
    return [
        replace(
            _run(member, points[number], results.values.get(member.job_id, nothing), number),
            is_whole=number in whole,
        )
        for number, members in results.members.items()
        for member in members
        if member.status.is_terminal
    ]


def experiment_runs(database: Database, experiment: str, wanted: Sequence[Objective]) -> list[Run]:
    """The ended jobs of an experiment, however they were submitted."""
    ended = [status for status in JobStatus if status.is_terminal]
    with database.read() as c:
        rows = lookup.find_jobs(c, experiment, ended)
        members = [
            MemberRow(
                0, 0, r.id, False, r.status, r.seed, r.fold, r.epoch, r.epochs, r.seconds,
                r.parameters,
            )
            for r in rows
        ]  # fmt: skip
        values, _ = read_values(c, wanted, members)
    return [
        _run(member, row.params, values[row.id], None)
        for member, row in zip(members, rows, strict=True)
    ]


def _run(
    member: MemberRow, params: dict[str, Any], values: tuple[float, ...], trial: int | None
) -> Run:
    is_good = member.status is JobStatus.SUCCEEDED
    return Run(params, member.seed, member.fold, values, member.seconds, is_good, trial)


def rank(
    runs: Sequence[Run],
    wanted: Sequence[Objective],
    *,
    by: str | Sequence[str] | None = None,
    where: str | None = None,
    top: int | None = None,
) -> pd.DataFrame:
    """A row a configuration, best mean first.

    A trial that was pruned or has failed jobs comes after the complete ones and is not tested.
    A configuration is a set of equal params; with `by`, of equal values of these params, and all
    else is paired (two units are compared at the same rate, seed and fold). `where` is a filter in
    the words of `DataFrame.query` over the params, such as "units > 16".

    Columns: `trial`, the params, `n` (succeeded runs), `incomplete` (failed, cancelled or pruned
    ones), then of the first objective `mean`, `std`, `low`, `high` (95 % t interval), `best`,
    `worst`; `verdict` (best, tie, worse, untested), `test` (t or wilcoxon, paired), `p` (after
    Holm); the means of further objectives by their names and `pareto`; `seconds`, the mean time
    of a run.
    """
    import pandas as pd

    names = list(dict.fromkeys(name for run in runs for name in run.params))
    chosen = _chosen(by, names)
    groups = _grouped(_filtered(runs, names, where), chosen)
    direction = wanted[0].direction
    columns = [["n", "incomplete"], ["mean", "std", "low", "high", "best", "worst"]]
    rows = []
    for group in groups:
        good = [run for run in group if run.has_succeeded]
        found = summary([run.values[0] for run in good], direction)
        row: dict[str, Any] = {
            "trial": group[0].trial,
            **{name: group[0].params.get(name) for name in chosen},
        }
        row |= {"n": found.n, "incomplete": len(group) - found.n}
        row |= {name: getattr(found, name) for name in columns[1]}
        for i, objective in enumerate(wanted[1:], 1):
            row[objective.name] = summary([r.values[i] for r in good], objective.direction).mean
        row["seconds"] = _mean([run.seconds for run in good])
        rows.append(row)
    whole = [by is not None or all(run.is_whole for run in group) for group in groups]
    paired = [_paired(g, chosen, is_whole) for g, is_whole in zip(groups, whole, strict=True)]
    compared = against_best(paired, direction)
    for row, comparison in zip(rows, compared, strict=True):
        row |= {"verdict": comparison.verdict, "test": comparison.test, "p": comparison.p}
    if len(wanted) > 1:
        means = [
            [row["mean"] if is_whole else math.nan, *(row[o.name] for o in wanted[1:])]
            for row, is_whole in zip(rows, whole, strict=True)
        ]
        for row, is_best in zip(rows, pareto(means, [o.direction for o in wanted]), strict=True):
            row["pareto"] = is_best
    others = [o.name for o in wanted[1:]] + (["pareto"] if len(wanted) > 1 else [])
    order = ["trial", *chosen, *columns[0], *columns[1], "verdict", "test", "p", *others, "seconds"]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys(order)))  # seconds may be an objective
    if by is not None or all(run.trial is None for run in runs):
        table = table.drop(columns="trial")
    order_of = _order(rows, whole, 1.0 if direction == "minimize" else -1.0)
    table = table.iloc[order_of].reset_index(drop=True)
    table.attrs.update(metric=wanted[0].name, direction=direction, at=wanted[0].at)
    return table if top is None else table.head(top)


def _order(rows: Sequence[dict[str, Any]], whole: Sequence[bool], sign: float) -> list[int]:
    """Best mean first; then what was cut short, whose mean is of those that were not."""

    def cost(i: int) -> tuple[bool, bool, float]:
        mean = float(rows[i]["mean"])
        return not whole[i], math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return sorted(range(len(rows)), key=cost)


def _chosen(by: str | Sequence[str] | None, names: Sequence[str]) -> list[str]:
    if by is None:
        return list(names)
    chosen = [by] if isinstance(by, str) else list(by)
    for name in chosen:
        if name not in names:
            raise FitfleetError(f"by: {name!r} is no parameter here; there are {', '.join(names)}")
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


def _grouped(runs: Sequence[Run], chosen: Sequence[str]) -> list[list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = json.dumps([run.params.get(name) for name in chosen], sort_keys=True)
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _paired(
    group: Sequence[Run], chosen: Sequence[str], is_compared: bool
) -> dict[Hashable, float]:
    """What pairs a run with one of another configuration -> its value."""
    if not is_compared:
        return {}
    found: dict[Hashable, list[float]] = {}
    for run in group:
        rest = {name: value for name, value in run.params.items() if name not in chosen}
        key = (run.seed, run.fold, json.dumps(rest, sort_keys=True))
        if run.has_succeeded:
            found.setdefault(key, []).append(run.values[0])
    return {key: _mean(values) for key, values in found.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def best_trial(results: Results) -> int:
    """The complete trial with the best mean. NotFoundError while there is none."""
    trials = [trial for trial in results.trials() if trial.state == "complete"]
    first = best_index([trial.values[0] for trial in trials], results.wanted[0].direction)
    if first is None:
        raise NotFoundError("the sweep has no complete trial to choose from yet")
    return trials[first].number
