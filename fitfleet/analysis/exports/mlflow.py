"""MLflow: runs with parameters, metrics by step, scores, tags, and where the weights lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fitfleet.analysis.exports.runs import ExportedRun
from fitfleet.errors import FitfleetError, MissingExtraError

_STATUS = {"SUCCEEDED": "FINISHED", "FAILED": "FAILED", "CANCELLED": "KILLED", "PRUNED": "KILLED"}
# What MLflow takes in one call.
_METRICS_A_CALL = 1000
_PARAMETERS_A_CALL = 100


def write_mlflow(runs: Sequence[ExportedRun], tracking_uri: str | None = None) -> list[str]:
    """Log the runs to an MLflow store or server and return their MLflow ids.

    `tracking_uri` is MLflow's (`sqlite:///mlflow.db`, `http://...`; None: MLflow's own setting).
    A job that was logged before, known by the tag `fitfleet.job`, is left alone. Weights are not
    copied: the tag `fitfleet.weights` says where they are. MissingExtraError without mlflow,
    FitfleetError when the store refuses.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise MissingExtraError("mlflow", "mlflow") from None
    client = MlflowClient(tracking_uri)
    try:
        return [_write(client, run) for run in runs]
    except MlflowException as error:
        raise FitfleetError(f"MLflow at {tracking_uri or 'its default'} refuses: {error}") from None


def _write(client: Any, run: ExportedRun) -> str:
    experiment = _experiment(client, run.experiment)
    known = client.search_runs([experiment], f"tags.`fitfleet.job` = '{run.job_id}'", max_results=1)
    if known:
        return str(known[0].info.run_id)
    tags = {"fitfleet.job": str(run.job_id), "mlflow.runName": run.name, **run.tags}
    if run.artifact is not None:
        tags["fitfleet.weights"] = run.artifact
    created = client.create_run(experiment, start_time=_milliseconds(run.started_at), tags=tags)
    identity = str(created.info.run_id)
    _log(client, identity, run)
    client.set_terminated(
        identity, _STATUS.get(run.status, "FINISHED"), _milliseconds(run.finished_at)
    )
    return identity


def _log(client: Any, identity: str, run: ExportedRun) -> None:
    from mlflow.entities import Metric, Param

    parameters = [Param(_key(name), str(value)) for name, value in run.params.items()]
    for part in _parts(parameters, _PARAMETERS_A_CALL):
        client.log_batch(identity, params=part)
    at = _milliseconds(run.finished_at)
    metrics = [
        Metric(_key(name), value, at, epoch)
        for name, curve in run.curves.items()
        for epoch, value in sorted(curve.items())
    ]
    metrics += [Metric(_key(name), value, at, 0) for name, value in run.scores.items()]
    for part in _parts([m for m in metrics if not math.isnan(m.value)], _METRICS_A_CALL):
        client.log_batch(identity, metrics=part)


def _experiment(client: Any, name: str) -> str:
    existing = client.get_experiment_by_name(name)
    return str(existing.experiment_id if existing is not None else client.create_experiment(name))


def _parts(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def _key(name: str) -> str:
    """MLflow takes letters, digits and a few marks in a name."""
    return "".join(ch if ch.isalnum() or ch in "_-. /" else "_" for ch in name)[:250]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
