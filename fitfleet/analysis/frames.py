"""A sweep's results as tables: of its trials, its jobs, its curves, and of who ran what when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.columns import named, param_columns
from fitfleet.analysis.objective import Objective
from fitfleet.analysis.recordings import Recordings
from fitfleet.analysis.results import Results, Trial
from fitfleet.analysis.statistics import summary
from fitfleet.db.sweeps.trials import ReplicateRow, TrialRow
from fitfleet.states import JobStatus

if TYPE_CHECKING:
    import pandas as pd

_OF_A_JOB = (
    *("trial", "job", "status", "epoch", "epochs", "nan_epoch"),
    *("seconds", "train_seconds", "parameters", "is_reused"),
)


def trials_frame(results: Results) -> pd.DataFrame:
    """One row per trial: `trial`, the parameters, `state`, the objectives' means, `jobs`, `why`.

    A trial whose jobs came to no finite value of an objective has failed; `why` says what of: the
    epoch of a NaN, or the error of a job. A parameter that is named like another column is
    `params.` and its name.
    """
    import pandas as pd

    names = [objective.name for objective in results.wanted]
    columns = trial_columns(results)
    rows = []
    for row, trial in zip(results.rows, results.trials(), strict=True):
        replicates = results.replicates.get(row.number, [])
        rows.append(
            {
                "trial": row.number,
                **named(row.point, columns),
                "state": trial.state,
                **dict(zip(names, results.means(row.number), strict=True)),
                "jobs": len(replicates),
                "why": row.refused or _ended(row, trial) or _failure(trial, replicates),
            }
        )
    others = dict.fromkeys(["state", *names, "jobs", "why"])
    return pd.DataFrame(rows, columns=["trial", *columns.values(), *others])


def trial_columns(results: Results) -> dict[str, str]:
    """Parameter -> its column in `trials_frame`."""
    names = [objective.name for objective in results.wanted]
    return param_columns(results.parameters(), ["trial", "state", *names, "jobs", "why"])


def _ended(row: TrialRow, trial: Trial) -> str | None:
    """What ended its jobs; None if they came to their end before they heard of it."""
    return None if trial.state == "complete" else row.pruned


def _failure(trial: Trial, replicates: Sequence[ReplicateRow]) -> str | None:
    """What a failed trial failed of: its first job without a value."""
    if trial.state != "failed":
        return None
    for replicate in replicates:
        if replicate.nan_epoch is not None:
            return (
                f"the loss of job {replicate.job_id} is not finite from epoch"
                f" {replicate.nan_epoch} on"
            )
        if replicate.status is JobStatus.FAILED:
            return f"job {replicate.job_id}: {replicate.failure_message}"
        if replicate.status is JobStatus.CANCELLED:
            return f"job {replicate.job_id} was cancelled"
    return None


def jobs_frame(recordings: Recordings, results: Results) -> pd.DataFrame:
    """One row per job: `trial`, `job`, the parameters, seed, fold, status, metrics, scores, ...

    Metrics are those of the epoch whose weights are kept, objectives as the sweep asked for them.
    A parameter that is named like another column is `params.` and its name.
    """
    import pandas as pd

    points = {row.number: row.point for row in results.rows}
    replicates = [m for of_trial in results.replicates.values() for m in of_trial]
    scores = recordings.scores([m.job_id for m in replicates])
    kept = recordings.kept_points([m.job_id for m in replicates])
    metrics: dict[int, dict[str, float]] = defaultdict(dict)
    for kept_point in kept:
        value = float("nan") if kept_point.value is None else kept_point.value
        metrics[kept_point.job_id][kept_point.name] = value
    names = [objective.name for objective in results.wanted]
    recorded: list[Mapping[str, Any]] = [*metrics.values(), *scores.values()]
    of_trial = {name for values in recorded for name in values}
    columns = param_columns(results.parameters(), [*_OF_A_JOB, *names, *of_trial])
    rows = []
    for m in replicates:
        values = results.values.get(m.job_id, (float("nan"),) * len(names))
        rows.append(
            {
                "trial": m.number,
                "job": m.job_id,
                **named(points[m.number], columns),
                "seed": m.seed,
                "fold": float("nan") if m.fold is None else m.fold,
                "status": m.status.value,
                "epoch": m.epoch,
                "epochs": m.epochs,
                **dict(zip(names, values, strict=True)),
                **{k: v for k, v in metrics[m.job_id].items() if k not in names},
                **{k: v for k, v in scores.get(m.job_id, {}).items() if k not in names},
                "nan_epoch": float("nan") if m.nan_epoch is None else m.nan_epoch,
                "seconds": m.seconds,
                "train_seconds": float("nan") if m.train_seconds is None else m.train_seconds,
                "parameters": m.parameters,
                "is_reused": m.is_reused,
            }
        )
    return pd.DataFrame(rows)


def curves_frame(
    recordings: Recordings, results: Results, metric: str, numbers: Sequence[int]
) -> pd.DataFrame:
    """Curves of trials: `trial`, `phase` (train, val), `epoch`, `n`, `mean`, `low`, `high`.

    `low` and `high` are the 95 % t interval of the mean over the trial's repeats and folds; they
    are the mean itself where there is one job only.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    plain = metric.removeprefix("val_")
    for number in numbers:
        ids = [m.job_id for m in results.replicates.get(number, [])]
        for phase in ("train", "val"):
            curves = recordings.curves(ids, plain, phase)
            by_epoch: dict[int, list[float]] = defaultdict(list)
            for curve in curves.values():
                for epoch, value in curve.items():
                    by_epoch[epoch].append(value)
            for epoch in sorted(by_epoch):
                s = summary(by_epoch[epoch], "minimize")
                low, high = (s.low, s.high) if s.n > 1 else (s.mean, s.mean)
                rows.append(
                    {
                        "trial": number,
                        "phase": phase,
                        "epoch": epoch,
                        "n": s.n,
                        "mean": s.mean,
                        "low": low,
                        "high": high,
                    }
                )
    columns = ["trial", "phase", "epoch", "n", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def timeline_frame(recordings: Recordings, results: Results) -> pd.DataFrame:
    """A row an attempt: `worker`, `job`, `trial`, `start`, `end` (in seconds), `outcome`.

    An attempt that runs still ends now.
    """
    import pandas as pd

    numbers = {m.job_id: m.number for of_trial in results.replicates.values() for m in of_trial}
    rows = recordings.attempts(list(numbers))
    if not rows:
        return pd.DataFrame(columns=["worker", "job", "trial", "start", "end", "outcome"])
    first = min(row["start"] for row in rows)
    for row in rows:
        row["trial"] = numbers[row["job"]]
        row["start"] -= first
        row["end"] -= first
    return pd.DataFrame(rows)


def labels(results: Results, numbers: Sequence[int]) -> dict[int, str]:
    """A short name of each trial: `3: units=32 learning_rate=0.001`."""
    points = {row.number: row.point for row in results.rows}
    return {n: f"{n}: " + " ".join(_word(k, v) for k, v in points[n].items()) for n in numbers}


def _word(name: str, value: Any) -> str:
    shown = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"{name.rsplit('.', 1)[-1]}={shown}"


def best_first(results: Results, objective: Objective, top: int | None = None) -> list[int]:
    """Numbers of the complete trials, the best mean first."""
    done = [t for t in results.trials() if t.state == "complete"]
    sign = 1.0 if objective.direction == "minimize" else -1.0
    done.sort(key=lambda t: (sign * t.values[0], t.number))
    return [t.number for t in done][:top]
