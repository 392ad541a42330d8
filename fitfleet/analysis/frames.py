"""A sweep's results as tables: of its trials, its jobs, its curves, and of who ran what when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.objective import Objective
from fitfleet.analysis.results import Results, state_of
from fitfleet.analysis.statistics import summary
from fitfleet.db import lookup
from fitfleet.db import trials as table
from fitfleet.db.session import Database

if TYPE_CHECKING:
    import pandas as pd


def trials_frame(results: Results) -> pd.DataFrame:
    """A row a trial: `trial`, the parameters, `state`, the objectives' means, `jobs`, `why`."""
    import pandas as pd

    names = [objective.name for objective in results.wanted]
    rows = []
    for row in results.rows:
        members = results.members.get(row.number, [])
        rows.append(
            {
                "trial": row.number,
                **row.point,
                "state": state_of(row, members),
                **dict(zip(names, results.means(row.number), strict=True)),
                "jobs": len(members),
                "why": row.refused or row.given_up,
            }
        )
    return pd.DataFrame(rows)


def jobs_frame(database: Database, results: Results) -> pd.DataFrame:
    """A row a job: `trial`, `job`, the parameters, seed, fold, status, objectives, scores, ..."""
    import pandas as pd

    points = {row.number: row.point for row in results.rows}
    members = [m for found in results.members.values() for m in found]
    with database.read() as c:
        scores = lookup.scores_of(c, [m.job_id for m in members])
    names = [objective.name for objective in results.wanted]
    rows = []
    for m in members:
        values = results.values.get(m.job_id, (float("nan"),) * len(names))
        rows.append(
            {
                "trial": m.number,
                "job": m.job_id,
                **points[m.number],
                "seed": m.seed,
                "fold": float("nan") if m.fold is None else m.fold,
                "status": m.status.value,
                "epoch": m.epoch,
                "epochs": m.epochs,
                **dict(zip(names, values, strict=True)),
                **scores.get(m.job_id, {}),
                "seconds": m.seconds,
                "parameters": m.parameters,
                "is_reused": m.is_reused,
            }
        )
    return pd.DataFrame(rows)


def curves_frame(
    database: Database, results: Results, metric: str, numbers: Sequence[int]
) -> pd.DataFrame:
    """Curves of trials: `trial`, `phase` (train, val), `epoch`, `n`, `mean`, `low`, `high`.

    `low` and `high` are the 95 % t interval of the mean over the trial's repeats and folds; they
    are the mean itself where there is one job only.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    plain = metric.removeprefix("val_")
    for number in numbers:
        ids = [m.job_id for m in results.members.get(number, [])]
        for phase in ("train", "val"):
            with database.read() as c:
                curves = table.curves(c, ids, plain, phase)
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


def timeline_frame(database: Database, results: Results) -> pd.DataFrame:
    """A row an attempt: `worker`, `job`, `trial`, `start`, `end` (in seconds), `outcome`.

    An attempt that runs still ends now.
    """
    import pandas as pd

    numbers = {m.job_id: m.number for found in results.members.values() for m in found}
    with database.read() as c:
        rows = table.attempts_of(c, list(numbers))
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
