"""Comparing the jobs of an experiment: one row per job, best first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fitfleet.analysis.columns import named, param_columns
from fitfleet.analysis.curves import metric_order
from fitfleet.analysis.differences import notes
from fitfleet.analysis.direction import Direction, compiled_parts, direction_of
from fitfleet.db.reading import best_jobs, compile_options, lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import FitfleetError, NotFoundError
from fitfleet.spec.keras_objects.metric_directions import agreed
from fitfleet.states import JobStatus

if TYPE_CHECKING:
    import pandas as pd

At = Literal["last", "best"]

_NOT_A_PARAM = ["epoch", "kept_epoch", "nan_epoch", "seconds", "train_seconds", "engine", "status"]


def compare(
    database: Database,
    experiment: str,
    *,
    metric: str | None = None,
    direction: str | None = None,
    at: At = "last",
    top: int | None = None,
    statuses: Iterable[JobStatus] = (JobStatus.SUCCEEDED,),
) -> pd.DataFrame:
    """One row per job of these statuses, best first; jobs without the metric come last.

    Columns: `job`, the params, the metric that it is sorted by, `seed`, `epoch`, the other metrics
    (loss first), the scores, `seconds`, `train_seconds` (of the epochs alone, without tracing,
    loading and saving), `engine`, `status`; where jobs differ in it `kept_epoch`, and `nan_epoch`,
    the first whose loss was not finite. A metric's value is that of the epoch whose weights were
    kept, the last one unless `restore_best_weights` put an earlier one's back, or with `at="best"`
    the best of all epochs. A param that is named like another column is `params.` and its name.
    `attrs["notes"]` says what the table does not show: jobs of equal params whose specifications
    differ, and jobs whose values are not of the same data or loss.
    `metric` is val_loss where the jobs have one, else loss; `direction` follows from what the jobs
    were compiled with (see `direction_of`). `attrs` of the frame say both.

    With `top` the database chooses, and only these jobs are read; a column that none of them has
    a value for is left out.

    NotFoundError for an unknown experiment, FitfleetError for an unknown metric (those that exist
    are listed) or one whose direction is not certain.
    """
    import pandas as pd

    if at not in ("last", "best"):
        raise FitfleetError(f"at: {at!r} is neither 'last' nor 'best'")
    wanted = frozenset(statuses)
    ids = None
    if top is not None:
        ids = _best(database, experiment, wanted, metric, direction, at, top)
    rows = _rows(database, experiment, wanted, ids)
    directions = (
        {} if metric is None or direction is None else {metric: direction_of(metric, direction)}
    )
    values = metric_values(database, rows, at, experiment, directions)
    scores = _scores(database, rows)
    metrics = sorted({name for of_job in values.values() for name in of_job}, key=metric_order)
    score_names = list(dict.fromkeys(name for of_job in scores.values() for name in of_job))
    after_params = ["seed", *_epochs(rows), *metrics, *score_names, *_NOT_A_PARAM[-4:]]
    names = dict.fromkeys(name for row in rows for name in row.params)
    columns = param_columns(names, ["job", *_NOT_A_PARAM, *metrics, *score_names])
    params = list(columns.values())
    table = pd.DataFrame(
        [_line(row, columns, values.get(row.id, {}), scores.get(row.id, {})) for row in rows],
        columns=list(dict.fromkeys(("job", *params, *after_params))),
    )
    if not metrics and not score_names:
        return table
    chosen = metric or ("val_loss" if "val_loss" in metrics else "loss")
    if chosen not in [*metrics, *score_names]:
        raise FitfleetError(_unknown_metric(chosen, experiment, [*metrics, *score_names]))
    better_when = direction_of(chosen, direction, compiled_parts(database, chosen, experiment))
    table = table.sort_values(
        [chosen, "job"],
        ascending=[better_when == "minimize", True],
        na_position="last",
        kind="stable",
    ).reset_index(drop=True)
    # Where a narrow screen shows it.
    table = table[list(dict.fromkeys(["job", *params, chosen, *table.columns]))]
    table.attrs.update({"metric": chosen, "direction": better_when, "at": at})
    table.attrs["notes"] = notes(database, rows, chosen)
    return table if top is None else table.head(top)


def best_job(
    database: Database,
    experiment: str,
    *,
    metric: str | None = None,
    direction: str | None = None,
    at: At = "last",
) -> int:
    """The number of the succeeded job that `compare` puts first.

    NotFoundError while no job has succeeded with a value of that metric.
    """
    table = compare(database, experiment, metric=metric, direction=direction, at=at, top=1)
    chosen = table.attrs.get("metric")
    if chosen is None or not table[chosen].notna().any():
        raise NotFoundError(
            f"experiment {experiment!r} has no succeeded job to choose from yet;"
            f" see: fitfleet ps --experiment {experiment}"
        )
    return int(table["job"].iloc[0])


def metric_values(
    database: Database,
    rows: Sequence[JobRow],
    at: At,
    experiment: str,
    given: Mapping[str, Direction],
) -> dict[int, dict[str, float]]:
    """Job -> {Keras's name of the metric: value}; NaN where the value was not a number.

    With `at="best"`, metrics whose direction is neither given nor certain keep their last value.
    """
    ids = [row.id for row in rows]
    values_of: dict[int, dict[str, float]] = {}
    with database.read() as c:
        for point in lookup.kept_points(c, ids):
            value = float("nan") if point.value is None else point.value
            values_of.setdefault(point.job_id, {})[point.name] = value
        if at == "best":
            specs = compile_options.compiled_parts(c, experiment)
            extremes = lookup.extremes(c, ids)
            directions = {
                name: given.get(name) or agreed(name, specs) for _, name, _, _ in extremes
            }
            for job_id, name, low, high in extremes:
                if directions[name] is not None:
                    best = low if directions[name] == "minimize" else high
                    values_of.setdefault(job_id, {})[name] = best
    return values_of


def _best(
    database: Database,
    experiment: str,
    statuses: frozenset[JobStatus],
    metric: str | None,
    direction: str | None,
    at: At,
    top: int,
) -> list[int] | None:
    """The numbers of the best `top` jobs; None where no job has the metric."""
    with database.read() as c:
        chosen = metric or next(
            (n for n in ("val_loss", "loss") if best_jobs.has_value(c, experiment, statuses, n)),
            None,
        )
        if chosen is None or (metric and not best_jobs.has_value(c, experiment, statuses, metric)):
            return None
    better_when = direction_of(chosen, direction, compiled_parts(database, chosen, experiment))
    with database.read() as c:
        ranked = best_jobs.best_jobs(c, experiment, statuses, chosen, better_when, at, top)
    return [job_id for job_id, _ in ranked]


def _rows(
    database: Database, experiment: str, statuses: frozenset[JobStatus], ids: list[int] | None
) -> list[JobRow]:
    """All of these statuses, or those of the numbers `ids`."""
    with database.read() as c:
        if ids:
            return lookup.jobs_by_id(c, ids)
        rows = lookup.find_jobs(c, experiment, statuses)
        known = [] if rows else [e["name"] for e in lookup.experiment_summary(c)]
    if not rows and experiment not in known:
        raise NotFoundError(_unknown_experiment(experiment, known))
    return rows


def _scores(database: Database, rows: list[JobRow]) -> dict[int, dict[str, float | None]]:
    with database.read() as c:
        return lookup.scores_of(c, [row.id for row in rows])


def _epochs(rows: Sequence[JobRow]) -> list[str]:
    """The columns of epochs that say something: all jobs have done some."""
    has_kept = any(row.shown_epoch != row.epoch for row in rows)
    has_nan = any(row.nan_epoch is not None for row in rows)
    return ["epoch", *["kept_epoch"] * has_kept, *["nan_epoch"] * has_nan]


def _line(
    row: JobRow,
    columns: Mapping[str, str],
    values: dict[str, float],
    scores: dict[str, float | None],
) -> dict[str, Any]:
    line: dict[str, Any] = {"job": row.id, **named(row.params, columns)}
    line |= {"seed": row.seed, "epoch": row.epoch, "kept_epoch": row.shown_epoch}
    line["nan_epoch"] = float("nan") if row.nan_epoch is None else row.nan_epoch
    line.update(values)
    line.update({n: float("nan") if v is None else v for n, v in scores.items()})
    trained = float("nan") if row.train_seconds is None else row.train_seconds
    line.update(seconds=row.seconds, train_seconds=trained)
    line.update(engine=row.engine, status=row.status.value)
    return line


def _unknown_metric(metric: str, experiment: str, known: list[str]) -> str:
    return f"{metric}: no job of {experiment!r} has this metric; there are {', '.join(known)}"


def _unknown_experiment(experiment: str, known: list[str]) -> str:
    if not known:
        return f"{experiment}: no such experiment; there is none yet, submit a job first"
    near = difflib.get_close_matches(experiment, known, n=3) or known[:10]
    return f"{experiment}: no such experiment; there is {', '.join(near)}"
