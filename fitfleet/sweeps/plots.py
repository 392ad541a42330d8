"""The plots of a sweep or an experiment.

The suffix decides: .png, .svg, .pdf, or .html that works offline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fitfleet.analysis import frames
from fitfleet.analysis.importance import importances
from fitfleet.analysis.objective import Objective
from fitfleet.analysis.plots.bands import plot_bands
from fitfleet.analysis.plots.box import plot_box
from fitfleet.analysis.plots.canvas import Target
from fitfleet.analysis.plots.importance import plot_importance
from fitfleet.analysis.plots.parallel import plot_parallel
from fitfleet.analysis.plots.slices import plot_slices
from fitfleet.analysis.plots.timeline import plot_timeline
from fitfleet.analysis.recordings import Recordings
from fitfleet.analysis.results import Results
from fitfleet.errors import FitfleetError
from fitfleet.states import JobStatus
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.spaces import space

if TYPE_CHECKING:
    import pandas as pd


class Plots:
    """Plots of what a sweep, or the jobs of an experiment, have come to so far.

    Each method writes a file and returns its path; without one it returns a figure of matplotlib.

    FitfleetError when there is nothing to draw yet or the suffix is not known, MissingExtraError
    without matplotlib or Plotly.
    """

    def __init__(
        self, recordings: Recordings, results: Results, name: str, design: Design | None = None
    ) -> None:
        self._recordings, self._results, self._name = recordings, results, name
        spaces = space.find(design.job).items() if design is not None else ()
        self._logarithmic = [name for name, parameter in spaces if parameter.is_logarithmic]

    def curves(self, path: Target = None, *, metric: str | None = None, top: int = 6) -> Any:
        """Learning curves of the best trials: mean over repeats with its 95 % interval."""
        results = self._results
        chosen = metric or self._curve_metric()
        numbers = frames.best_first(results, results.wanted[0], top)
        numbers = numbers or [row.number for row in results.rows if row.refused is None][:top]
        curves = frames.curves_frame(self._recordings, results, chosen, numbers)
        title = f"{self._name}: {chosen.removeprefix('val_').replace('_', ' ')} over the epochs"
        total = sum(row.refused is None for row in results.rows)
        if len(numbers) < total:
            title += f", {len(numbers)} of {total} trials"
        labels = frames.labels(results, numbers)
        return plot_bands(curves, labels, chosen, path, title=title)

    def parallel_coordinates(self, path: Target = None, *, objective: str | None = None) -> Any:
        """A line a complete trial through its parameters to the objective."""
        wanted = self._objective(objective)
        trials, names = self._complete(wanted)
        title = f"{self._name}: parameters and {wanted.name.replace('_', ' ')}"
        return plot_parallel(
            trials, names, wanted.name, wanted.direction, path,
            title=title, logarithmic=self._logarithmic,
        )  # fmt: skip

    def slice(self, path: Target = None, *, objective: str | None = None) -> Any:
        """The objective over each parameter, a point a complete trial."""
        wanted = self._objective(objective)
        trials, names = self._complete(wanted)
        title = f"{self._name}: {wanted.name.replace('_', ' ')} over each parameter"
        return plot_slices(
            trials, names, wanted.name, wanted.direction, path,
            title=title, logarithmic=self._logarithmic,
        )  # fmt: skip

    def importance(self, path: Target = None, *, objective: str | None = None) -> Any:
        """The share of each parameter in the variation of the objective (Optuna's fANOVA)."""
        wanted = self._objective(objective)
        shares = importances(self._results, wanted)
        title = f"{self._name}: importance of the parameters"
        return plot_importance(shares, wanted.name, path, title=title)

    def box(
        self,
        path: Target = None,
        *,
        objective: str | None = None,
        trials: Sequence[int] | None = None,
    ) -> Any:
        """The spread of each configuration over its repeats and folds, at most 12, best first."""
        wanted = self._objective(objective)
        results = self._results
        position = list(results.wanted).index(wanted)
        numbers = list(trials) if trials else frames.best_first(results, results.wanted[0], 12)
        labels = frames.labels(results, numbers)
        groups = {}
        for number in numbers:
            values = [
                results.values[m.job_id][position]
                for m in results.replicates.get(number, [])
                if m.status is JobStatus.SUCCEEDED
            ]
            groups[labels[number]] = [v for v in values if math.isfinite(v)]
        title = f"{self._name}: {wanted.name.replace('_', ' ')} over repeats"
        return plot_box(groups, wanted.name, path, title=title)

    def timeline(self, path: Target = None) -> Any:
        """What each worker slot did when."""
        attempts = frames.timeline_frame(self._recordings, self._results)
        return plot_timeline(attempts, path, title=f"{self._name}: timeline of the workers")

    def _curve_metric(self) -> str:
        first = self._results.wanted[0]
        return "val_loss" if first.is_after_the_fit else first.name

    def _objective(self, name: str | None) -> Objective:
        wanted = self._results.wanted
        if name is None:
            return wanted[0]
        for objective in wanted:
            if objective.name == name:
                return objective
        known = ", ".join(objective.name for objective in wanted)
        raise FitfleetError(
            f"objective: {name!r} is not an objective of this sweep, which has {known}"
        )

    def _complete(self, wanted: Objective) -> tuple[pd.DataFrame, list[str]]:
        table = frames.trials_frame(self._results)
        names = list(frames.trial_columns(self._results).values())
        if not len(table):
            return table, names
        complete = table[(table["state"] == "complete") & table[wanted.name].notna()]
        return complete.reset_index(drop=True), names
