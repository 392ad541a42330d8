"""A fleet that is reached by its HTTP API: a URL and a token are all that a script needs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, cast

from rich.console import Console

from fitfleet.client.disk import DiskUsage, Usage
from fitfleet.client.display.display import FAILURES, Display
from fitfleet.client.fleet_jobs import job_status
from fitfleet.client.job import Job
from fitfleet.client.jobs import Jobs
from fitfleet.client.remote import json_forms
from fitfleet.client.remote.comparisons import ComparingFleet
from fitfleet.client.remote.connection import Connection
from fitfleet.client.remote.documents import Documents
from fitfleet.client.remote.job import RemoteJob
from fitfleet.client.remote.sweep import RemoteSweep, design_of
from fitfleet.client.remote.waiting import wait_for
from fitfleet.client.sweep import Sweep
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import AccessError, FitfleetError
from fitfleet.scheduler.removal import Removal
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.spaces import hypermodels

# Methods that need the database, and what to use instead.
_REFUSED = {
    "archive": "archiving",
    "dashboard": "a page of the fleet",
    "restore": "restoring an archive",
}


class _NoDatabase:
    """In place of a fleet's database: raises an error that names the API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def refuse(self, what: str) -> NoReturn:
        """AccessError with the way to it."""
        raise AccessError(
            f"{what} needs the database, and {self._url} is the API of the fleet: ask for it where"
            " the database's password is, with ff.connect(database_url=...) or --database-url; the"
            " dashboard of the fleet shows it too"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self.refuse("this")


class RemoteFleet(ComparingFleet):
    """As Fleet, by the HTTP API. What needs the database itself is refused with AccessError."""

    def __init__(self, settings: Settings) -> None:
        """ApiError if the API is away; AccessError for a token that opens nothing."""
        self._connection = Connection(settings.url, settings.token, settings.ca_file)
        self._no_database = _NoDatabase(settings.url)
        super().__init__(settings, cast(Database, self._no_database))
        self._connection.get("/v1/fleet")

    @property
    def _place(self) -> str:
        return self._connection.url

    def __getattribute__(self, name: str) -> Any:
        what = _REFUSED.get(name)
        if what is not None:
            refuse = super().__getattribute__("_no_database").refuse
            return lambda *_, **__: refuse(what)
        return super().__getattribute__(name)

    def close(self) -> None:
        """Nothing is kept open between two requests. Jobs continue."""

    def submit_many(
        self,
        jobs: Iterable[Mapping[str, Any]],
        *,
        again: bool = False,
        are_untrusted: bool = False,
    ) -> Jobs:
        """As `Fleet.submit_many`. What is in memory or in a file of this machine is uploaded.

        The server checks everything again, and trusts no module but those of its settings.
        """
        job_list = list(jobs)
        documents = []
        with Documents(self._connection, self.settings, is_scripted=not are_untrusted) as forms:
            for index, job in enumerate(job_list):
                try:
                    documents.append(forms.document(job))
                except FitfleetError as error:
                    if len(job_list) > 1:
                        error.args = (f"jobs[{index}]: {error}",)
                    raise
            answer = self._connection.post("/v1/jobs", jobs=documents, again=again)
        # A server of an older version does not report unserved queues.
        for line in [*answer["warnings"], *self.notices.fresh(answer.get("unserved", {}))]:
            warnings.warn(line, stacklevel=3)
        return Jobs(
            self._handle(json_forms.row_of(job["row"]), is_reused=job["is_reused"])
            for job in answer["jobs"]
        )

    def follow(
        self, job_ids: Sequence[int], *, timeout_s: float | None = None, is_raised: bool = False
    ) -> dict[JobStatus, int]:
        """As `Fleet.follow`."""
        display = Display(Console(stderr=True))
        with display.shown():
            wait_for(self._connection, list(job_ids), display, timeout_s)
        answer = self._connection.post("/v1/outcome", jobs=list(job_ids), failures=FAILURES)
        counts = json_forms.counts_of(answer["counts"])
        display.conclude(
            counts, list(map(json_forms.row_of, answer["failed"])), is_raised=is_raised
        )
        return counts

    def unfinished(self, experiment: str | None = None) -> list[int]:
        """As `Fleet.unfinished`."""
        return list(self._connection.get("/v1/unfinished", experiment=experiment))

    def experiments(self) -> list[dict[str, Any]]:
        """As `Fleet.experiments`."""
        return list(self._connection.get("/v1/experiments"))

    def recorded(self, job_ids: Sequence[int]) -> dict[int, dict[str, dict[str, Any]]]:
        """As `Fleet.recorded`."""
        answer = self._connection.post("/v1/recorded", jobs=list(job_ids))
        return {int(number): values for number, values in answer.items()}

    def unserved(self, queues: Iterable[str]) -> list[str]:
        """As `Fleet.unserved`."""
        return list(self._connection.post("/v1/unserved", queues=sorted(set(queues))))

    def _rows(self, job_ids: Sequence[int]) -> list[JobRow]:
        return list(map(json_forms.row_of, self._connection.post("/v1/rows", jobs=list(job_ids))))

    def _handle(self, row: JobRow, *, is_reused: bool = False) -> Job:
        return RemoteJob(self._connection, self.database, self.settings, row, is_reused=is_reused)

    def jobs(
        self,
        experiment: str | None = None,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        *,
        limit: int | None = None,
    ) -> Jobs:
        """As `Fleet.jobs`."""
        statuses = [status] if isinstance(status, str) else list(status or [])
        wanted = [job_status(s).value for s in statuses]
        rows = self._connection.get(
            "/v1/jobs", experiment=experiment, status=wanted or None, limit=limit
        )
        return Jobs(self._handle(json_forms.row_of(row)) for row in rows)

    def sweep(self, **arguments: Any) -> Sweep:
        """As `Fleet.sweep`; builders and code are those of modules that the fleet trusts.

        What is in memory or in a file of this machine is uploaded here.
        """
        points_from = arguments.pop("points_from", None)
        return self._sweep(hypermodels.accepted(arguments), points_from, is_scripted=True)

    def untrusted_sweep(self, arguments: Mapping[str, Any], *, points_from: Any = None) -> Sweep:
        """As `Fleet.untrusted_sweep`."""
        return self._sweep(arguments, points_from, is_scripted=False)

    def _sweep(self, arguments: Mapping[str, Any], points: Any, *, is_scripted: bool) -> Sweep:
        with Documents(self._connection, self.settings, is_scripted=is_scripted) as forms:
            sweep_design = forms.design(arguments, points)
        return self._remote(sweep_design)

    def resume_sweep(self, name: str) -> Sweep:
        """As `Fleet.resume_sweep`."""
        return self._found(self._connection.post("/v1/sweeps/find", sweep=name))

    def sweeps(self) -> list[Sweep]:
        """As `Fleet.sweeps`."""
        return [self._found(document) for document in self._connection.get("/v1/sweeps")]

    def _found(self, document: Mapping[str, Any]) -> Sweep:
        return self._remote(design_of(document), is_there=True)

    def _remote(self, sweep_design: Design, *, is_there: bool = False) -> Sweep:
        return RemoteSweep(
            self._connection,
            self.settings,
            sweep_design,
            self._by_number,
            fresh=self.notices.fresh,
            is_there=is_there,
        )

    def _by_number(self, job_ids: Sequence[int]) -> Jobs:
        return Jobs(map(self._handle, self._rows(job_ids)))

    def disk_usage(self) -> DiskUsage:
        """As `Fleet.disk_usage`, of the disk that the API's host sees."""
        document = self._connection.get("/v1/disk")
        return DiskUsage([Usage(**usage) for usage in document["experiments"]], document["shared"])

    def limit(self, experiment: str, max_running: int | None) -> None:
        """As `Fleet.limit`."""
        self._change(experiment, "limit", max_running=max_running)

    def pause(self, experiment: str) -> None:
        """As `Fleet.pause`."""
        self._change(experiment, "pause")

    def resume(self, experiment: str) -> None:
        """As `Fleet.resume`."""
        self._change(experiment, "resume")

    def _change(self, experiment: str, action: str, **values: Any) -> None:
        self._connection.post(f"/v1/experiments/{action}", experiment=experiment, **values)

    def remove(
        self, jobs: Iterable[Job | int] = (), *, experiment: str | None = None, is_dry: bool = False
    ) -> Removal:
        """As `Fleet.remove`."""
        numbers = [job.id if isinstance(job, Job) else job for job in jobs]
        document = self._connection.post(
            "/v1/remove", jobs=numbers, experiment=experiment, is_dry=is_dry
        )
        return Removal(document["jobs"], tuple(document["files"]), document["size_bytes"])
