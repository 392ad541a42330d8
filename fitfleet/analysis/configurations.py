"""The configurations of an experiment, however large: what `ranking.rank` says, of narrow rows.

`rank` takes whole runs, for sweeps, filters and several objectives. Here the jobs of an experiment
are read once, some at a time, and of each is kept only what one objective needs.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.columns import param_columns
from fitfleet.analysis.objective import Objective
from fitfleet.analysis.ranking import rank
from fitfleet.analysis.runs import experiment_runs
from fitfleet.analysis.statistics import Summary, against_best, summary
from fitfleet.db.reading import configurations
from fitfleet.db.reading.configurations import EndedJobs
from fitfleet.db.session import Connection, Database
from fitfleet.db.sweeps import trials
from fitfleet.states import JobStatus

if TYPE_CHECKING:
    import pandas as pd

_SUCCEEDED = JobStatus.SUCCEEDED.value
_MEANS = ("mean", "std", "low", "high", "best", "worst")
_AFTER_PARAMS = (
    *("epochs", "n", "incomplete", "diverged", *_MEANS, "verdict", "test", "p", "seconds"),
)


class _Group:
    """The jobs of one configuration, as places in the columns of _Jobs."""

    __slots__ = ("epochs", "more_params", "params", "places")

    def __init__(self, params: str, epochs: int) -> None:
        self.params = params  # JSON, of the first job
        self.epochs = epochs
        self.places: list[int] = []
        # JSON -> place of the first job that has it, where not all have the same
        self.more_params: dict[str, int] = {}


class _Jobs:
    """Column by column: an object for each of 100,000 jobs would take 50 MB."""

    def __init__(self) -> None:
        self.groups: dict[str, _Group] = {}  # in the order of their first jobs
        self.ids = array("q")
        self.seeds = array("q")
        self.folds: list[int | None] = []
        self.values = array("d")  # NaN: none, or one of a job that has not succeeded
        self.seconds = array("d")
        self.has_succeeded = bytearray()
        self.is_nan = bytearray()

    def add(self, page: EndedJobs) -> None:
        first = len(self.ids)
        has_succeeded = [status == _SUCCEEDED for status in page.statuses]
        self._gather(page, first)
        self.ids.extend(page.ids)
        self.seeds.extend(page.seeds)
        self.folds.extend(page.folds)
        self.seconds.extend(page.seconds)
        self.has_succeeded.extend(has_succeeded)
        self.is_nan.extend(epoch is not None for epoch in page.nan_epochs)
        self.values.extend(
            value if is_good and value is not None else math.nan
            for value, is_good in zip(page.values, has_succeeded, strict=True)
        )

    def _gather(self, page: EndedJobs, first: int) -> None:
        groups = self.groups
        columns = zip(page.group_hashes, page.params, page.epochs, strict=True)
        for place, (key, params, epochs) in enumerate(columns, first):
            group = groups.get(key)
            if group is None:
                group = groups[key] = _Group(params, epochs)
            elif params != group.params:
                group.more_params.setdefault(params, place)
            group.places.append(place)

    def finite(self, group: _Group) -> list[float]:
        """The values that count."""
        return [v for v in map(self.values.__getitem__, group.places) if math.isfinite(v)]

    def pairs(self, group: _Group) -> dict[Hashable, float]:
        """(seed, fold) -> value; the mean of jobs whose folds were drawn by different seeds."""
        keys = [(self.seeds[i], self.folds[i]) for i in group.places]
        values = [self.values[i] for i in group.places]
        if len(set(keys)) == len(keys):
            return dict(zip(keys, values, strict=True))
        by_pair: dict[Hashable, list[float]] = {}
        for key, value in zip(keys, values, strict=True):
            by_pair.setdefault(key, []).append(value)
        return {key: math.fsum(values) / len(values) for key, values in by_pair.items()}


def rank_experiment(
    database: Database,
    experiment: str,
    wanted: Sequence[Objective],
    *,
    by: str | Sequence[str] | None = None,
    where: str | None = None,
    top: int | None = None,
) -> pd.DataFrame:
    """`ranking.rank` of all ended jobs of an experiment."""
    if by is not None or where is not None or len(wanted) > 1:
        runs = experiment_runs(database, experiment, wanted)
        return rank(runs, wanted, by=by, where=where, top=top)
    table = ranked(database, experiment, wanted[0])
    return table if top is None else table.head(top)


def ranked(database: Database, experiment: str, objective: Objective) -> pd.DataFrame:
    """The same for one objective, whole."""
    import pandas as pd

    table = pd.DataFrame(ranked_columns(database, experiment, objective))
    if table["epochs"].nunique() < 2:
        table = table.drop(columns="epochs")
    table.attrs.update(metric=objective.name, direction=objective.direction, at=objective.at)
    return table


def ranked_columns(
    database: Database, experiment: str, objective: Objective
) -> dict[str, list[Any]]:
    """Its columns, for those who do without pandas."""
    with database.read() as c:
        jobs = _read(c, experiment, objective)
    columns, order = _columns(jobs, objective)
    return {name: [column[i] for i in order] for name, column in columns.items()}


def _read(c: Connection, experiment: str, objective: Objective) -> _Jobs:
    value = None
    if not objective.name.startswith("test_"):  # a score, which no epoch has
        value = configurations.value_of(objective.name, objective.direction, objective.at)
    jobs = _Jobs()
    for page in configurations.ended_jobs(c, experiment, value):
        jobs.add(page)
    _add_scores(c, jobs, objective)
    return jobs


def _add_scores(c: Connection, jobs: _Jobs, objective: Objective) -> None:
    """The score of that name, for succeeded jobs that have no metric of the name."""
    missing = {
        jobs.ids[i]: i
        for i, value in enumerate(jobs.values)
        if math.isnan(value) and jobs.has_succeeded[i]
    }
    if not missing or objective.name in ("seconds", "parameters"):
        return
    scores = trials.scores_named(c, list(missing), objective.name)
    curves = trials.curves(c, list(scores), objective.metric, objective.phase)
    for job_id in scores.keys() - curves.keys():
        jobs.values[missing[job_id]] = scores[job_id]


def _columns(jobs: _Jobs, objective: Objective) -> tuple[dict[str, list[Any]], list[int]]:
    """The columns by the order of first jobs; and the places of the best first."""
    groups = list(jobs.groups.values())
    finite = [jobs.finite(group) for group in groups]
    means = [summary(values, objective.direction) for values in finite]
    complete = [len(f) == len(g.places) for f, g in zip(finite, groups, strict=True)]
    paired = [jobs.pairs(g) if whole else {} for g, whole in zip(groups, complete, strict=True)]
    tested = against_best(paired, objective.direction)
    params = _params(groups)
    columns = param_columns(params, ["trial", *_AFTER_PARAMS])
    data = {columns[name]: column for name, column in params.items()}
    data["epochs"] = [group.epochs for group in groups]
    data |= _counts(jobs, groups, means)
    data |= {name: [getattr(mean, name) for mean in means] for name in _MEANS}
    data |= {name: [getattr(test, name) for test in tested] for name in ("verdict", "test", "p")}
    data["seconds"] = [_mean_seconds(jobs, group) for group in groups]
    order = _order(means, complete, 1.0 if objective.direction == "minimize" else -1.0)
    return data, order


def _params(groups: Sequence[_Group]) -> dict[str, list[Any]]:
    """Param -> the value that all jobs of each configuration share; None where they differ.

    The params are in the order of the jobs that have them first.
    """
    firsts = [json.loads(group.params) for group in groups]
    others = {
        i: {place: json.loads(text) for text, place in group.more_params.items()}
        for i, group in enumerate(groups)
        if group.more_params
    }
    places = [(group.places[0], first) for group, first in zip(groups, firsts, strict=True)]
    places += [pair for more in others.values() for pair in more.items()]
    places.sort(key=lambda pair: pair[0])
    names = dict.fromkeys(name for _, params in places for name in params)
    columns = {name: [params.get(name) for params in firsts] for name in names}
    for i, more in others.items():
        for name, column in columns.items():
            if any(params.get(name) != column[i] for params in more.values()):
                column[i] = None
    return columns


def _counts(
    jobs: _Jobs, groups: Sequence[_Group], means: Sequence[Summary]
) -> dict[str, list[int]]:
    def diverged(group: _Group) -> int:
        return sum(jobs.is_nan[i] and not math.isfinite(jobs.values[i]) for i in group.places)

    return {
        "n": [mean.n for mean in means],
        "incomplete": [len(g.places) - m.n for g, m in zip(groups, means, strict=True)],
        "diverged": [diverged(group) for group in groups],
    }


def _mean_seconds(jobs: _Jobs, group: _Group) -> float:
    seconds = [jobs.seconds[i] for i in group.places if jobs.has_succeeded[i]]
    return math.fsum(seconds) / len(seconds) if seconds else math.nan


def _order(means: Sequence[Summary], complete: Sequence[bool], sign: float) -> list[int]:
    """Best mean first; then what was cut short."""

    def cost(i: int) -> tuple[bool, bool, float]:
        mean = means[i].mean
        return not complete[i], math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return sorted(range(len(means)), key=cost)
