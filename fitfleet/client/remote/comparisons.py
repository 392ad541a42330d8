"""Comparisons, pictures, exports and ensembles of a fleet that is reached by its HTTP API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fitfleet.analysis.compare import At
from fitfleet.analysis.ranking import rank
from fitfleet.analysis.results import Results
from fitfleet.client.ensemble import Ensemble, check, chosen
from fitfleet.client.fleet import Fleet
from fitfleet.client.fleet_jobs import job_status
from fitfleet.client.job import Job
from fitfleet.client.remote import json_forms
from fitfleet.client.remote.connection import Connection
from fitfleet.client.remote.recordings import RemoteRecordings
from fitfleet.states import JobStatus

if TYPE_CHECKING:
    import pandas as pd

    from fitfleet.sweeps.exports import Exports
    from fitfleet.sweeps.plots import Plots


class ComparingFleet(Fleet):
    """Comparisons of a fleet's experiments: numbers come by the API, the rest is computed here."""

    _connection: Connection

    def compare(
        self,
        experiment: str = "default",
        metric: str | None = None,
        *,
        direction: str | None = None,
        at: At = "last",
        top: int | None = None,
        status: JobStatus | str | Iterable[JobStatus | str] | None = JobStatus.SUCCEEDED,
    ) -> pd.DataFrame:
        """As `Fleet.compare`."""
        statuses = [status] if isinstance(status, str) else list(status or JobStatus)
        return json_forms.frame_of(
            self._connection.post(
                "/v1/compare",
                experiment=experiment,
                metric=metric,
                direction=direction,
                at=at,
                top=top,
                status=[job_status(s).value for s in statuses],
            )
        )

    def best(
        self,
        experiment: str = "default",
        metric: str | None = None,
        *,
        direction: str | None = None,
        at: At = "last",
    ) -> Job:
        """As `Fleet.best`."""
        how = {"metric": metric, "direction": direction, "at": at}
        return self._handle(
            json_forms.row_of(self._connection.post("/v1/best", experiment=experiment, **how))
        )

    def rank(
        self,
        experiment: str = "default",
        objective: str | Sequence[str] = "val_loss",
        *,
        direction: str | Sequence[str] | None = None,
        at: At = "last",
        by: str | Sequence[str] | None = None,
        where: str | None = None,
        top: int | None = None,
    ) -> pd.DataFrame:
        """As `Fleet.rank`."""
        how = {"experiment": experiment, "objective": objective, "direction": direction, "at": at}
        if where is None:
            return json_forms.frame_of(self._connection.post("/v1/rank", by=by, top=top, **how))
        # A filter is a program of pandas, and runs where it was written.
        document = self._connection.post("/v1/runs", **how)
        runs, wanted = (
            json_forms.runs_of(document["runs"]),
            json_forms.objectives_of(document["wanted"]),
        )
        return rank(runs, wanted, by=by, where=where, top=top)

    def plot(
        self,
        experiment: str = "default",
        objective: str = "val_loss",
        *,
        direction: str | None = None,
    ) -> Plots:
        """As `Fleet.plot`, drawn here."""
        from fitfleet.sweeps.plots import Plots

        results = self._results(experiment, objective, direction)
        return Plots(RemoteRecordings(self._connection), results, experiment)

    def export(
        self,
        experiment: str = "default",
        objective: str = "val_loss",
        *,
        direction: str | None = None,
    ) -> Exports:
        """As `Fleet.export`, written here."""
        from fitfleet.sweeps.exports import Exports

        def read() -> Results:
            return self._results(experiment, objective, direction)

        return Exports(RemoteRecordings(self._connection), read, experiment)

    def _results(self, experiment: str, objective: str, direction: str | None) -> Results:
        how = {"experiment": experiment, "objective": objective, "direction": direction}
        return json_forms.results_of(self._connection.post("/v1/results", **how))

    def ensemble(
        self,
        experiment: str = "default",
        *,
        top: int = 5,
        metric: str = "val_loss",
        direction: str | None = None,
        candidates: int = 20,
    ) -> Ensemble:
        """As `Fleet.ensemble`: weights and data are fetched, and the models predict here."""
        check(top, metric, candidates)
        how = {"experiment": experiment, "metric": metric, "direction": direction}
        document = self._connection.post("/v1/candidates", count=candidates, **how)
        jobs = [self._handle(json_forms.row_of(row)) for row in document["rows"]]
        return chosen(jobs, self.settings, metric, document["direction"], top)
