"""A job that is reached by the HTTP API of its fleet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from rich.console import Console

from fitfleet.analysis.lineage import lineage_frame
from fitfleet.client.display import Display
from fitfleet.client.job import Job
from fitfleet.client.remote import wire
from fitfleet.client.remote.connection import Connection
from fitfleet.client.remote.waiting import wait_for
from fitfleet.db.jobs.labels import Labels
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import FitfleetError, JobFailedError, StateError
from fitfleet.scheduler.explain import Explanation
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.states import JobStatus
from fitfleet.storage import SUFFIX

if TYPE_CHECKING:
    import pandas as pd

_FOLLOW_S = 0.5


class RemoteJob(Job):
    """A Job whose every question goes to the API. Any of them may raise ApiError."""

    def __init__(
        self,
        connection: Connection,
        database: Database,
        settings: Settings,
        row: JobRow,
        *,
        is_reused: bool = False,
    ) -> None:
        super().__init__(database, settings, row, is_reused=is_reused)
        self._connection = connection

    def _get(self, name: str, **query: Any) -> Any:
        return self._connection.get(f"/v1/jobs/{self.id}/{name}", **query)

    def _change(self, name: str, **values: Any) -> Any:
        return self._connection.post(f"/v1/jobs/{self.id}/{name}", **values)

    def _changed(self, name: str, **values: Any) -> Self:
        """Change it; the row is the one after it."""
        self._row = wire.row_of(self._change(name, **values))
        return self

    def refresh(self) -> Self:
        """Read the job's row again."""
        self._row = wire.row_of(self._connection.get(f"/v1/jobs/{self.id}"))
        return self

    def wait(self, timeout_s: float | None = None, *, raise_on_failure: bool = False) -> Job:
        """As `Job.wait`."""
        display = Display(Console(stderr=True))
        with display.shown():
            wait_for(self._connection, [self.id], display, timeout_s)
        row = self.refresh()._row
        failed = [row] if row.status is JobStatus.FAILED else []
        display.conclude({row.status: 1}, failed, is_raised=raise_on_failure)
        if raise_on_failure and failed:
            raise JobFailedError(f"job {self.id} failed: {self.error}")
        return self

    @property
    def history(self) -> pd.DataFrame:
        """As `Job.history`."""
        return wire.frame_of(self._get("history"))

    @property
    def scores(self) -> dict[str, float]:
        """As `Job.scores`."""
        return dict(self._get("scores"))

    def why(self) -> Explanation:
        """As `Job.why`."""
        return wire.explanation_of(self._get("why"))

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """As `Job.attempts`."""
        return list(self._get("attempts"))

    @property
    def events(self) -> list[dict[str, Any]]:
        """As `Job.events`."""
        return list(self._get("events"))

    @property
    def lineage(self) -> pd.DataFrame:
        """As `Job.lineage`."""
        return lineage_frame(self._get("lineage"))

    @overload
    def logs(self, *, follow: Literal[False] = False) -> str: ...

    @overload
    def logs(self, *, follow: Literal[True]) -> Iterator[str]: ...

    def logs(self, *, follow: bool = False) -> str | Iterator[str]:
        """As `Job.logs`, as far as the API's host sees the folder of logs."""
        return self._follow() if follow else str(self._get("log")["text"])

    def _follow(self) -> Iterator[str]:
        seen: dict[str, int] = {}
        while True:
            said = self._change("log", seen=seen)
            yield from said["pieces"]
            is_new, seen = said["seen"] != seen, said["seen"]
            if JobStatus(said["status"]).is_terminal and not is_new:
                if not seen:
                    yield self.logs()
                self.refresh()
                return
            time.sleep(0.0 if is_new else _FOLLOW_S)

    def cancel(self) -> JobStatus:
        """As `Job.cancel`."""
        return self._changed("cancel")._row.status

    def retry(self) -> Job:
        """As `Job.retry`."""
        return self._changed("retry")

    def extend(self, *, epochs: int) -> Job:
        """As `Job.extend`."""
        return self._changed("extend", epochs=epochs)

    def set_priority(self, priority: int) -> Job:
        """As `Job.set_priority`."""
        return self._changed("priority", priority=priority)

    def tag(self, *names: str) -> tuple[str, ...]:
        """As `Job.tag`."""
        return wire.labels_of(self._change("labels", add=names)).tags

    def untag(self, *names: str) -> tuple[str, ...]:
        """As `Job.untag`."""
        return wire.labels_of(self._change("labels", remove=names)).tags

    def write_note(self, text: str) -> None:
        """As `Job.write_note`."""
        self._change("labels", note=text)

    @property
    def labels(self) -> Labels:
        """As `Job.labels`."""
        return wire.labels_of(self._get("labels"))

    @property
    def spec(self) -> JobSpec:
        """As `Job.spec`."""
        return JobSpec.model_validate(self._get("spec"))

    @property
    def code(self) -> dict[str, str]:
        """As `Job.code`."""
        return dict(self._get("code"))

    @property
    def weights_path(self) -> Path:
        """The job's file, fetched into the folder `cache` when it is not there yet.

        StateError before the job has succeeded, StorageError if it does not come whole.
        """
        self._artifact()
        digest = self._row.artifact_sha256
        if digest is None:
            raise StateError(f"job {self.id} is of a version that kept no sha256; retry it")
        folder = Path(self._settings.cache).absolute() / "weights"
        path = folder / f"{digest}{SUFFIX}"
        if not path.is_file():
            self._connection.download(f"/v1/jobs/{self.id}/weights", path, digest)
        return path

    def _with_code(self) -> AbstractContextManager[Settings]:
        if self._fit().code is None:
            return nullcontext(self._settings)
        raise StateError(
            f"job {self.id} runs code of the script that submitted it, which the API does not hand"
            " out to be run; `weights()` needs none of it, or use a connection to the database"
        )

    def _run_task(self, kind: Any, dataset: Any, batch_size: int) -> Any:
        raise FitfleetError(
            f"where: a fleet that is reached by its API does not {kind} for a client; use"
            " where='here', with the extra `worker`"
        )
