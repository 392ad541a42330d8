"""The results of the trials of a sweep: the values of their jobs, read from SQL."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fitfleet.analysis.objective import Objective
from fitfleet.db.session import Database
from fitfleet.db.sweeps import trials as table
from fitfleet.db.sweeps.trials import ReplicateRow, TrialRow
from fitfleet.states import JobStatus

Values = dict[int, tuple[float, ...]]
TrialState = Literal["pending", "complete", "pruned", "failed", "refused"]


@dataclass(frozen=True)
class Trial:
    """One point that was asked for, and what is known of it."""

    number: int
    point: dict[str, Any]
    pending: frozenset[int] = frozenset()  # trials that had no value when this was suggested
    state: TrialState = "pending"
    values: tuple[float, ...] = ()  # one an objective; complete trials only
    curve: Mapping[int, float] = field(default_factory=dict)  # epoch -> objective so far


@dataclass(frozen=True)
class Curve:
    """The objective of one job, epoch by epoch, as far as it is known."""

    number: int  # of the trial
    replicate: int
    job_id: int
    values: Mapping[int, float]
    is_open: bool  # it may still be pruned
    is_complete: bool  # it ran to its end
    is_spared: bool = False  # a user retried it: it is judged no more
    epochs: int | None = None  # asked for; nothing is saved by ending a job that has them all
    final: float = math.nan  # what a complete job came to: the objective of the weights it keeps


@dataclass
class Results:
    """A sweep's trials, their jobs and the jobs' values; a finished job is read once."""

    wanted: Sequence[Objective]
    rows: list[TrialRow] = field(default_factory=list)
    replicates: dict[int, list[ReplicateRow]] = field(default_factory=dict)  # by trial
    values: Values = field(default_factory=dict)  # job -> one value an objective
    curves: dict[int, dict[int, float]] = field(default_factory=dict)  # job -> first objective
    _final: set[tuple[int, int]] = field(default_factory=set)  # (job, epochs) read to its end

    def read(self, database: Database, sweep_id: int) -> None:
        """Look at the database again."""
        with database.read() as c:
            self._read(c, sweep_id)

    def _read(self, c: Any, sweep_id: int) -> None:
        self.rows = table.trials_of(c, sweep_id)
        rows = table.replicates_of(c, sweep_id)
        self.replicates = defaultdict(list)
        for replicate in rows:
            self.replicates[replicate.number].append(replicate)
        news = [m for m in rows if (m.job_id, m.epoch) not in self._final and m.epoch > 0]
        self._read_values(c, news)
        self._final |= {(m.job_id, m.epoch) for m in news if m.status.is_terminal}

    def _read_values(self, c: Any, replicates: Sequence[ReplicateRow]) -> None:
        values, curves = read_values(c, self.wanted, replicates)
        self.values.update(values)
        self.curves.update(curves)

    def trials(self) -> list[Trial]:
        """The trials as a search sees them."""
        return [self._trial(row) for row in self.rows]

    def _trial(self, row: TrialRow) -> Trial:
        replicates = self.replicates.get(row.number, [])
        state = state_of(row, replicates)
        if state == "complete":
            means = self.means(row.number)
            if all(math.isfinite(mean) for mean in means):
                return Trial(row.number, row.point, row.pending, state, means)
            state = "failed"  # it diverged: there is nothing to learn from its value
        curve = self._mean_curve(replicates) if state == "pruned" else {}
        return Trial(row.number, row.point, row.pending, state, curve=curve)

    def parameters(self) -> list[str]:
        """Names of all parameters, in the order of the points; a point may lack some."""
        return list(dict.fromkeys(name for row in self.rows for name in row.point))

    def means(self, number: int) -> tuple[float, ...]:
        """Of a trial's succeeded jobs, one an objective; NaN without any."""
        values = [
            self.values[m.job_id]
            for m in self.replicates.get(number, [])
            if m.status is JobStatus.SUCCEEDED and m.job_id in self.values
        ]
        if not values:
            return (math.nan,) * len(self.wanted)
        return tuple(math.fsum(column) / len(values) for column in zip(*values, strict=True))

    def _mean_curve(self, replicates: Sequence[ReplicateRow]) -> dict[int, float]:
        by_epoch: dict[int, list[float]] = defaultdict(list)
        for replicate in replicates:
            for epoch, value in self.curves.get(replicate.job_id, {}).items():
                if math.isfinite(value):
                    by_epoch[epoch].append(value)
        return {epoch: math.fsum(v) / len(v) for epoch, v in by_epoch.items()}

    def for_pruning(self) -> list[Curve]:
        """The curves of all jobs as the pruner sees them."""
        pruned = {row.number for row in self.rows if row.pruned is not None}
        return [
            Curve(
                number,
                replicate.replicate,
                replicate.job_id,
                {
                    e: v
                    for e, v in self.curves.get(replicate.job_id, {}).items()
                    if math.isfinite(v)
                },
                is_open=not replicate.status.is_terminal,
                is_complete=replicate.status is JobStatus.SUCCEEDED,
                is_spared=number in pruned,
                epochs=replicate.epochs,
                final=self.values.get(replicate.job_id, (math.nan,))[0],
            )
            for number, replicates in self.replicates.items()
            for replicate in replicates
        ]

    def unfinished(self) -> int:
        """Jobs that have not ended."""
        return sum(
            not m.status.is_terminal for of_trial in self.replicates.values() for m in of_trial
        )


def read_values(
    c: Any, wanted: Sequence[Objective], replicates: Sequence[ReplicateRow]
) -> tuple[Values, dict[int, dict[int, float]]]:
    """(job -> one value an objective, NaN if it has none; job -> curve of the first objective)."""
    kept = {replicate.job_id: replicate.shown_epoch for replicate in replicates}
    ids = list(kept)
    columns: list[dict[int, float]] = []
    first: dict[int, dict[int, float]] = {}
    for objective in wanted:
        if objective.name == "seconds":
            columns.append({m.job_id: m.seconds for m in replicates})
        elif objective.name == "parameters":
            columns.append({m.job_id: float(m.parameters or math.nan) for m in replicates})
        else:
            curves = table.curves(c, ids, objective.metric, objective.phase)
            first = first or (curves if objective is wanted[0] else {})
            column = table.scores_named(c, ids, objective.name)
            column.update(
                {job_id: _at(curve, objective, kept[job_id]) for job_id, curve in curves.items()}
            )
            columns.append(column)
    return {i: tuple(column.get(i, math.nan) for column in columns) for i in ids}, first


def state_of(row: TrialRow, replicates: Sequence[ReplicateRow]) -> TrialState:
    """What a trial's jobs make of it."""
    if row.refused is not None:
        return "refused"
    if any(not m.status.is_terminal for m in replicates):
        return "pending"
    if all(m.status is JobStatus.SUCCEEDED for m in replicates):
        return "complete"
    is_pruned = row.pruned is not None or any(m.status is JobStatus.PRUNED for m in replicates)
    return "pruned" if is_pruned else "failed"


def _at(curve: dict[int, float], objective: Objective, kept: int) -> float:
    if objective.at == "last":
        return curve.get(kept, math.nan)
    finite = [value for value in curve.values() if math.isfinite(value)]
    if not finite:
        return math.nan
    return min(finite) if objective.direction == "minimize" else max(finite)
