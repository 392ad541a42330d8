"""A job that is reached by the HTTP API of its fleet."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload
from urllib.parse import urlencode

from rich.console import Console

from fitfleet.analysis.lineage import lineage_frame
from fitfleet.client.display.display import Display
from fitfleet.client.job import Job
from fitfleet.client.remote import json_forms
from fitfleet.client.remote.connection import Connection
from fitfleet.client.remote.documents import Documents
from fitfleet.client.remote.waiting import wait_for
from fitfleet.client.tasks import TaskResult, check_done
from fitfleet.db.jobs.labels import Labels
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import ApiError, JobFailedError, StateError
from fitfleet.scheduler.explain import Explanation
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec, JobSpec, Task
from fitfleet.states import JobStatus
from fitfleet.storage import SUFFIX

if TYPE_CHECKING:
    import pandas as pd

_FOLLOW_S = 0.5


class RemoteJob(Job):
    """A Job whose methods use the API. Each may raise ApiError."""

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
        self._row = json_forms.row_of(self._change(name, **values))
        return self

    def refresh(self) -> Self:
        """Read the job's row again."""
        self._row = json_forms.row_of(self._connection.get(f"/v1/jobs/{self.id}"))
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
        return json_forms.frame_of(self._get("history"))

    @property
    def scores(self) -> dict[str, float]:
        """As `Job.scores`."""
        return dict(self._get("scores"))

    def why(self) -> Explanation:
        """As `Job.why`."""
        return json_forms.explanation_of(self._get("why"))

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
            document = self._change("log", seen=seen)
            yield from document["pieces"]
            is_new, seen = document["seen"] != seen, document["seen"]
            if JobStatus(document["status"]).is_terminal and not is_new:
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
        return json_forms.labels_of(self._change("labels", add=names)).tags

    def untag(self, *names: str) -> tuple[str, ...]:
        """As `Job.untag`."""
        return json_forms.labels_of(self._change("labels", remove=names)).tags

    def write_note(self, text: str) -> None:
        """As `Job.write_note`."""
        self._change("labels", note=text)

    @property
    def labels(self) -> Labels:
        """As `Job.labels`."""
        return json_forms.labels_of(self._get("labels"))

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
        return self._fetched("weights", "weights", digest, SUFFIX)

    def _checkpoint(self, path: str) -> Path:
        """Fetched, as the weights are; StateError for one that no sha256 was kept of."""
        digest = self._row.checkpoint_sha256
        if digest is None:
            raise StateError(f"job {self.id}: no sha256 of its checkpoint is known; wait for it")
        return self._fetched("checkpoints", "checkpoint", digest, SUFFIX)

    def _with_code(self) -> AbstractContextManager[Settings]:
        if self._fit().code is None:
            return nullcontext(self._settings)
        raise StateError(
            f"job {self.id} runs code of the script that submitted it, which the API does not hand"
            " out to be run; `weights()` needs none of it, or use a connection to the database"
        )

    def _run_task(self, task: Task, spec: JobSpec, data: Any, batch_size: int) -> TaskResult:
        with Documents(self._connection, self._settings, is_scripted=True) as forms:
            request = {"kind": task.kind, "dataset": forms.task_data(task.kind, data)}
            members = [{"job": member.job, "share": member.share} for member in task.members]
            document = self._change("task", **request, batch_size=batch_size, members=members)
        for line in document["warnings"]:
            warnings.warn(line, stacklevel=4)
        job = RemoteJob(
            self._connection, self._database, self._settings, json_forms.row_of(document["row"])
        )
        job.wait()
        check_done(job.row, job.spec)
        return _RemoteResult(job)

    def _dataset_here(self) -> DatasetSpec:
        """The dataset with files that were fetched, each content once."""
        dataset, paths = self.spec.dataset, {}
        for file in self._get("dataset"):
            name, digest = str(file["path"]), str(file["sha256"])
            suffix = "".join(Path(name).suffixes[-2 if name.endswith(".gz") else -1 :])
            paths[name] = self._fetched(
                "datasets", f"dataset/file?{urlencode({'path': name})}", digest, suffix
            )
        if dataset.path:
            return dataset.model_copy(update={"path": str(paths[dataset.path])})
        files = {name: str(paths[text]) for name, text in dataset.files.items()}
        return dataset.model_copy(update={"files": files})

    def _fetched(self, kind: str, name: str, digest: str, suffix: str) -> Path:
        """A file of the job in the folder `cache`, of this content."""
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ApiError(f"{self._connection.url} names no file of job {self.id} by its content")
        path = Path(self._settings.cache).absolute() / kind / f"{digest}{suffix}"
        if not path.is_file():
            self._connection.download(f"/v1/jobs/{self.id}/{name}", path, digest)
        return path


class _RemoteResult(TaskResult):
    """The same, fetched from the API."""

    def __init__(self, job: RemoteJob) -> None:
        super().__init__(job._database, job._settings, job.row)
        self._job = job

    def _scores(self) -> dict[str, float | None]:
        return dict(self._job.scores)

    def _path(self) -> Path:
        return self._job.weights_path
