"""The imported points of a design as rows: of their table in SQL, and of the table of trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fitfleet.analysis.columns import named, param_columns
from fitfleet.db.sweeps.imported_points import ImportedPoint
from fitfleet.sweeps.design.design import Design

if TYPE_CHECKING:
    import pandas as pd


def rows_of(design: Design) -> list[ImportedPoint]:
    """Those of a sweep as the table `imported_trials` has them."""
    names = [objective.name for objective in design.wanted]
    return [
        ImportedPoint(
            source=trial.source,
            trial=trial.trial,
            point=trial.point,
            objectives=dict(zip(names, trial.values, strict=True)),
            left_out="; ".join(trial.left_out) or None,
            unused=trial.unused,
        )
        for trial in design.imported
    ]


def with_imported(frame: pd.DataFrame, design: Design) -> pd.DataFrame:
    """The table of a sweep's own trials, and below it a row for each imported one.

    These have no number of the sweep, the state `imported`, `source`, and in `left_out` what of
    them did not fit; `why` says why the search does not learn from one.
    """
    import pandas as pd

    if not design.imported:
        return frame
    names = [objective.name for objective in design.wanted]
    taken = ["trial", "state", *names, "jobs", "why", "source", "left_out"]
    params = dict.fromkeys(name for trial in design.imported for name in trial.point)
    columns = param_columns(params, taken)
    rows = [
        {
            **named(trial.point, columns),
            "state": "imported",
            **dict(zip(names, trial.values, strict=True)),
            "jobs": 0,
            "why": trial.unused,
            "source": f"{trial.source}#{trial.trial}",
            "left_out": "; ".join(trial.left_out) or None,
        }
        for trial in design.imported
    ]
    of_jobs = list(frame.columns)
    after = of_jobs.index("state")
    order = [*of_jobs[:after], *(c for c in columns.values() if c not in of_jobs), *of_jobs[after:]]
    both = [*frame.to_dict("records"), *rows]
    table = pd.DataFrame(both, columns=[*order, "source", "left_out"])
    return table.astype({"trial": "Int64"})
