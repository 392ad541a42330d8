"""What jobs have recorded, read by the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitfleet.analysis.recordings import Curves, Scores
from fitfleet.client.remote import json_forms
from fitfleet.client.remote.connection import Connection
from fitfleet.db.reading.lookup import JobRow, MetricValue

_AT_ONCE = 5_000  # jobs of a request


class RemoteRecordings:
    """As analysis.recordings.Recordings. Each method may raise ApiError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, job_ids: Sequence[int]) -> list[JobRow]:
        """As Recordings."""
        answers = [self._connection.post("/v1/rows", jobs=part) for part in _parts(job_ids)]
        return [json_forms.row_of(row) for part in answers for row in part]

    def scores(self, job_ids: Sequence[int]) -> Scores:
        """As Recordings."""
        answers = [self._post("scores", part) for part in _parts(job_ids)]
        return {int(job): values for part in answers for job, values in part.items()}

    def kept_points(self, job_ids: Sequence[int]) -> list[MetricValue]:
        """As Recordings."""
        return [
            MetricValue(**point)
            for part in _parts(job_ids)
            for point in self._post("kept_points", part)
        ]

    def points(self, job_ids: Sequence[int]) -> list[MetricValue]:
        """As Recordings."""
        return [
            MetricValue(**point) for part in _parts(job_ids) for point in self._post("points", part)
        ]

    def curves(self, job_ids: Sequence[int], metric: str, phase: str) -> Curves:
        """As Recordings."""
        answers = [
            self._post("curves", part, metric=metric, phase=phase) for part in _parts(job_ids)
        ]
        return {int(job): dict(curve) for part in answers for job, curve in part.items()}

    def attempts(self, job_ids: Sequence[int]) -> list[dict[str, Any]]:
        """As Recordings."""
        rows = [row for part in _parts(job_ids) for row in self._post("attempts", part)]
        return sorted(rows, key=lambda row: (row["start"], row["job"]))

    def artifact(self, row: JobRow) -> str | None:
        """As Recordings."""
        return f"{self._connection.url}/v1/jobs/{row.id}/weights" if row.artifact_path else None

    def is_over(self, sweep: str) -> bool:
        """As Recordings."""
        return self._connection.post("/v1/sweeps/find", sweep=sweep)["ended_at"] is not None

    def _post(self, what: str, job_ids: Sequence[int], **more: Any) -> Any:
        return self._connection.post("/v1/records", what=what, jobs=job_ids, **more)


def _parts(job_ids: Sequence[int]) -> list[Sequence[int]]:
    return [job_ids[i : i + _AT_ONCE] for i in range(0, len(job_ids), _AT_ONCE)]
