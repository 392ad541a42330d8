"""A sweep that is reached by the HTTP API of its fleet."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from fitfleet.analysis.lineage import lineage_frame
from fitfleet.analysis.recordings import Recordings
from fitfleet.analysis.results import Results
from fitfleet.client.display.display import FAILURES
from fitfleet.client.display.progress_snapshot import Snapshot
from fitfleet.client.jobs import Jobs
from fitfleet.client.remote import json_forms
from fitfleet.client.remote.connection import Connection
from fitfleet.client.remote.recordings import RemoteRecordings
from fitfleet.client.sweep import Sweep
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.design.documents import sent
from fitfleet.sweeps.driving.progress import Progress
from fitfleet.sweeps.planning.plan_rows import Plan, Planned

if TYPE_CHECKING:
    import pandas as pd

_POLL_S = 0.25
# Slow steps are taken less often: they take at most this share of the time.
_POLL_SHARE = 0.25


class RemoteSweep(Sweep):
    """A Sweep whose steps are taken by the server. Every method may raise ApiError.

    What is computed of its results, and every picture and export, is made here.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        design: Design,
        handles: Callable[[Sequence[int]], Jobs],
        *,
        fresh: Callable[[Mapping[str, str]], list[str]],
        is_there: bool = False,
    ) -> None:
        """`handles`: jobs by number; `is_there`: the design is the server's own.

        `fresh`: of the unserved queues that the server names, what the script was not told yet.
        """
        super().__init__(cast(Database, None), settings, design)
        self._connection, self._jobs_of, self._is_open = connection, handles, is_there
        self._fresh = fresh

    def _post(self, action: str, **values: Any) -> Any:
        return self._connection.post(f"/v1/sweeps/{action}", sweep=self.name, **values)

    def plan(self) -> Plan:
        """As `Sweep.plan`; the models are built where Keras is installed on the server."""
        document = self._connection.post("/v1/sweeps/plan", **sent(self.design))
        points = [Planned(**point) for point in document["points"]]
        return Plan(
            points,
            document["is_sample"],
            document["is_built"],
            document["warnings"],
            document["noun"],
        )

    def submit(self) -> Sweep:
        """As `Sweep.submit`."""
        self._open()
        while not self._step(is_shown=False)["is_asked"]:
            pass
        return self

    def _open(self) -> None:
        if not self._is_open:
            self._connection.post("/v1/sweeps", **sent(self.design))
            self._is_open = True

    def _step(self, *, is_shown: bool) -> Mapping[str, Any]:
        document: Mapping[str, Any] = self._post("step", is_shown=is_shown)
        for line in [*document["warnings"], *self._fresh(document.get("unserved", {}))]:
            warnings.warn(line, stacklevel=4)
        return document

    def _advance(self, *, is_shown: bool) -> tuple[Progress, Snapshot | None]:
        document = self._step(is_shown=is_shown)
        snapshot = document["snapshot"]
        return Progress(
            **document["progress"]
        ), None if snapshot is None else json_forms.snapshot_of(snapshot)

    def _pause_s(self, step_s: float) -> float:
        return max(_POLL_S, step_s / _POLL_SHARE)

    def _outcome(self) -> tuple[dict[JobStatus, int], list[JobRow]]:
        ids = [m.job_id for of_trial in self._results().replicates.values() for m in of_trial]
        document = self._connection.post("/v1/outcome", jobs=ids, failures=FAILURES)
        failed = [json_forms.row_of(row) for row in document["failed"]]
        return json_forms.counts_of(document["counts"]), failed

    @property
    def progress(self) -> Progress:
        """As `Sweep.progress`."""
        return Progress(**self._post("progress"))

    def lineage(self) -> pd.DataFrame:
        """As `Sweep.lineage`."""
        return lineage_frame(self._post("lineage"))

    def _results(self) -> Results:
        return json_forms.results_of(self._post("results"))

    @property
    def _recordings(self) -> Recordings:
        return RemoteRecordings(self._connection)

    def _handles(self, job_ids: Sequence[int]) -> Jobs:
        return self._jobs_of(job_ids)

    def _is_written(self) -> bool:
        try:
            self._post("find")
        except NotFoundError:
            return False
        return True


def design_of(document: Mapping[str, Any]) -> Design:
    """The design of a sweep as the server describes it."""
    return Design.from_json(json.dumps(document["document"]))
