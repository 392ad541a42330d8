"""What a sweep, or any experiment, has recorded, for other tools."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fitfleet.analysis import frames
from fitfleet.analysis.exports import live_tensorboard
from fitfleet.analysis.exports.runs import ExportedRun
from fitfleet.analysis.exports.tables import write_csv, write_parquet
from fitfleet.analysis.exports.tensorboard import folder_name, write_tensorboard
from fitfleet.analysis.recordings import Recordings
from fitfleet.analysis.results import Results
from fitfleet.db.sweeps.trials import ReplicateRow

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 200


class Exports:
    """Made by `Sweep.export` and `Fleet.export`.

    Tables have a row a job; `curves` a row an epoch and metric.
    """

    def __init__(
        self,
        recordings: Recordings,
        read: Callable[[], Results],
        experiment: str,
        sweep: str | None = None,
    ) -> None:
        self._recordings = recordings
        self._read, self._experiment, self._sweep = read, experiment, sweep
        self._results = read()

    def to_pandas(self) -> pd.DataFrame:
        """One row per job: trial, parameters, seed, fold, status, objectives, scores, seconds."""
        return frames.jobs_frame(self._recordings, self._results)

    def curves(self) -> pd.DataFrame:
        """A row an epoch and metric of each job: `job`, `trial`, `epoch`, `metric`, `value`."""
        import pandas as pd

        rows = [
            {"job": run.job_id, "trial": int(run.tags["trial"]), "epoch": epoch,
             "metric": metric, "value": value}
            for run in self._runs()
            for metric, curve in run.curves.items()
            for epoch, value in sorted(curve.items())
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["job", "trial", "epoch", "metric", "value"])

    def to_csv(self, path: str | Path) -> Path:
        """The table of `to_pandas` as CSV."""
        return write_csv(self.to_pandas(), path)

    def to_parquet(self, path: str | Path) -> Path:
        """The table of `to_pandas` as Parquet; needs the extra `parquet`."""
        return write_parquet(self.to_pandas(), path)

    def to_tensorboard(self, folder: str | Path, *, follow: bool = False) -> Path:
        """Event files for `tensorboard --logdir FOLDER`; needs the extra `tensorboard`.

        With `follow` also those of running jobs, which grow until every job has ended.
        """
        if follow:
            return live_tensorboard.follow(folder, self._live_runs)
        return write_tensorboard(self._runs(), folder, self._results.wanted[0].name)

    def to_mlflow(self, tracking_uri: str | None = None) -> list[str]:
        """Runs in an MLflow store; their MLflow ids. Needs the extra `mlflow`."""
        from fitfleet.analysis.exports.mlflow import write_mlflow

        return write_mlflow(self._runs(), tracking_uri)

    def _live_runs(self) -> tuple[list[ExportedRun], bool]:
        """The jobs that have trained an epoch, and whether nothing is left to train."""
        self._results = self._read()
        is_over = not self._results.unfinished()
        if self._sweep is not None:  # it may suggest more
            is_over = self._recordings.is_over(self._sweep)
        return self._runs(only_ended=False), is_over

    def _runs(self, *, only_ended: bool = True) -> list[ExportedRun]:
        """The jobs that have trained an epoch."""
        replicates = [
            m
            for of_trial in self._results.replicates.values()
            for m in of_trial
            if m.epoch > 0 and (m.status.is_terminal or not only_ended)
        ]
        parts = [replicates[i : i + _CHUNK] for i in range(0, len(replicates), _CHUNK)]
        return [run for part in parts for run in self._part(part)]

    def _part(self, replicates: list[ReplicateRow]) -> list[ExportedRun]:
        ids = [m.job_id for m in replicates]
        rows = {row.id: row for row in self._recordings.rows(ids)}
        points, scores = self._recordings.points(ids), self._recordings.scores(ids)
        curves: dict[int, dict[str, dict[int, float]]] = {}
        for point in points:
            value = float("nan") if point.value is None else point.value
            curves.setdefault(point.job_id, {}).setdefault(point.name, {})[point.epoch] = value
        runs = []
        for m in replicates:
            row = rows[m.job_id]
            fold = "" if m.fold is None else f",fold={m.fold}"
            runs.append(
                ExportedRun(
                    job_id=m.job_id,
                    experiment=self._experiment,
                    name=folder_name(f"trial={m.number},seed={m.seed}{fold},job={m.job_id}"),
                    params=row.params,
                    curves=curves.get(m.job_id, {}),
                    scores={k: v for k, v in scores.get(m.job_id, {}).items() if v is not None},
                    status=m.status.value,
                    started_at=row.started_at or row.submitted_at,
                    finished_at=row.finished_at or time.time(),
                    artifact=self._recordings.artifact(row),
                    tags={
                        **({} if self._sweep is None else {"sweep": self._sweep}),
                        "trial": str(m.number),
                        "seed": str(m.seed),
                        "group": row.group_hash,
                    },
                )
            )
        return runs
