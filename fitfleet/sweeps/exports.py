"""What a sweep has recorded, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fitfleet.analysis import frames
from fitfleet.analysis.exports.runs import ExportedRun
from fitfleet.analysis.exports.tables import write_csv, write_parquet
from fitfleet.analysis.exports.tensorboard import folder_name, write_tensorboard
from fitfleet.analysis.results import Results
from fitfleet.db import lookup
from fitfleet.db.session import Database
from fitfleet.db.trials import ReplicateRow
from fitfleet.settings import Settings
from fitfleet.sweeps.design import Design

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 200


class Exports:
    """Made by `Sweep.export`. Tables have a row a job; `curves` a row an epoch and metric."""

    def __init__(
        self, database: Database, settings: Settings, results: Results, design: Design
    ) -> None:
        self._database, self._settings = database, settings
        self._results, self._design = results, design

    def to_pandas(self) -> pd.DataFrame:
        """A row a job: trial, parameters, seed, fold, status, objectives, scores, seconds."""
        return frames.jobs_frame(self._database, self._results)

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

    def to_tensorboard(self, folder: str | Path) -> Path:
        """Event files for `tensorboard --logdir FOLDER`; needs the extra `tensorboard`."""
        return write_tensorboard(self._runs(), folder, self._design.wanted[0].name)

    def to_mlflow(self, tracking_uri: str | None = None) -> list[str]:
        """Runs in an MLflow store; their MLflow ids. Needs the extra `mlflow`."""
        from fitfleet.analysis.exports.mlflow import write_mlflow

        return write_mlflow(self._runs(), tracking_uri)

    def _runs(self) -> list[ExportedRun]:
        """The ended jobs that have begun."""
        replicates = [
            m
            for found in self._results.replicates.values()
            for m in found
            if m.status.is_terminal and m.epoch > 0
        ]
        parts = [replicates[i : i + _CHUNK] for i in range(0, len(replicates), _CHUNK)]
        return [run for part in parts for run in self._part(part)]

    def _part(self, replicates: list[ReplicateRow]) -> list[ExportedRun]:
        ids = [m.job_id for m in replicates]
        with self._database.read() as c:
            rows = {row.id: row for row in lookup.jobs_by_id(c, ids)}
            points = lookup.curves(c, ids)
            scores = lookup.scores_of(c, ids)
        curves: dict[int, dict[str, dict[int, float]]] = {}
        for point in points:
            value = float("nan") if point.value is None else point.value
            curves.setdefault(point.job_id, {}).setdefault(point.name, {})[point.epoch] = value
        storage = Path(self._settings.storage).absolute()
        found = []
        for m in replicates:
            row = rows[m.job_id]
            fold = "" if m.fold is None else f",fold={m.fold}"
            found.append(
                ExportedRun(
                    job_id=m.job_id,
                    experiment=self._design.experiment,
                    name=folder_name(f"trial={m.number},seed={m.seed}{fold},job={m.job_id}"),
                    params=row.params,
                    curves=curves.get(m.job_id, {}),
                    scores={k: v for k, v in scores.get(m.job_id, {}).items() if v is not None},
                    status=m.status.value,
                    started_at=row.started_at or row.submitted_at,
                    finished_at=row.finished_at or row.submitted_at,
                    artifact=str(storage / row.artifact_path) if row.artifact_path else None,
                    tags={
                        "sweep": self._design.name,
                        "trial": str(m.number),
                        "seed": str(m.seed),
                        "group": row.group_hash,
                    },
                )
            )
        return found
