"""The runs that a comparison of configurations is made of: of a sweep, or of an experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fitfleet.analysis.objective import Objective
from fitfleet.analysis.results import Results, read_values
from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.db.sweeps.trials import ReplicateRow, TrialRow
from fitfleet.states import JobStatus


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
    is_complete: bool = True  # all jobs of its trial have succeeded
    epochs: int | None = None  # asked for
    group: str | None = None  # of its configuration; None: its params are all that tells
    nan_epoch: int | None = None  # the first whose loss was not finite

    @property
    def has_value(self) -> bool:
        """Whether it counts in a mean of the first objective."""
        return self.has_succeeded and math.isfinite(self.values[0])


def sweep_runs(results: Results) -> list[Run]:
    """The ended jobs of a sweep."""
    points = {row.number: row.point for row in results.rows}
    complete = {trial.number for trial in results.trials() if trial.state == "complete"}
    nothing = (math.nan,) * len(results.wanted)
    return [
        replace(
            _run(replicate, points[number], results.values.get(replicate.job_id, nothing), number),
            is_complete=number in complete,
        )
        for number, replicates in results.replicates.items()
        for replicate in replicates
        if replicate.status.is_terminal
    ]


def experiment_runs(database: Database, experiment: str, wanted: Sequence[Objective]) -> list[Run]:
    """The ended jobs of an experiment, however they were submitted; of reruns the newest one."""
    ended = [status for status in JobStatus if status.is_terminal]
    with database.read() as c:
        rows = _newest(lookup.find_jobs(c, experiment, ended))
        replicates = [
            ReplicateRow(
                0, 0, r.id, False, r.status, r.seed, r.fold, r.epoch, r.epochs, r.seconds,
                r.parameters, r.shown_epoch, r.nan_epoch,
            )
            for r in rows
        ]  # fmt: skip
        values, _ = read_values(c, wanted, replicates)
    return [
        replace(_run(replicate, row.params, values[row.id], None), group=row.group_hash)
        for replicate, row in zip(replicates, rows, strict=True)
    ]


def experiment_results(database: Database, experiment: str, wanted: Sequence[Objective]) -> Results:
    """The jobs of an experiment as a sweep's results: a configuration is a trial, seeds and folds
    are its replicates. Trials are numbered from 0, in the order of their first jobs.
    """
    with database.read() as c:
        rows = _newest(lookup.find_jobs(c, experiment))
    numbers: dict[str, int] = {}
    results = Results(wanted)
    for row in rows:
        number = numbers.setdefault(row.group_hash, len(numbers))
        if number == len(results.rows):
            results.rows.append(TrialRow(number, row.params, frozenset(), None, None))
        replicates = results.replicates.setdefault(number, [])
        replicates.append(
            ReplicateRow(
                number, len(replicates), row.id, False, row.status, row.seed, row.fold, row.epoch,
                row.epochs, row.seconds, row.parameters, row.shown_epoch, row.nan_epoch,
                row.failure_message, row.train_seconds,
            )
        )  # fmt: skip
    with database.read() as c:
        all_replicates = [
            replicate for replicates in results.replicates.values() for replicate in replicates
        ]
        results.values, results.curves = read_values(c, wanted, all_replicates)
    return results


def _newest(rows: Sequence[JobRow]) -> list[JobRow]:
    """One row for what was run again: the newest that succeeded, else the newest."""
    newest: dict[str, JobRow] = {}
    for row in sorted(rows, key=lambda row: (row.status is JobStatus.SUCCEEDED, row.id)):
        newest[row.content_hash] = row
    return sorted(newest.values(), key=lambda row: row.id)


def _run(
    replicate: ReplicateRow, params: dict[str, Any], values: tuple[float, ...], trial: int | None
) -> Run:
    is_good = replicate.status is JobStatus.SUCCEEDED
    return Run(
        params, replicate.seed, replicate.fold, values, replicate.seconds, is_good, trial,
        epochs=replicate.epochs, nan_epoch=replicate.nan_epoch,
    )  # fmt: skip
