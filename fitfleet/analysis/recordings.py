"""What jobs have recorded, for tables, pictures and exports: read from SQL, or by the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow, MetricValue
from fitfleet.db.session import Database
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.db.sweeps import trials as table
from fitfleet.settings import Settings
from fitfleet.storage import Storage

Scores = dict[int, dict[str, float | None]]  # by job and name
Curves = dict[int, dict[int, float]]  # by job and epoch; a NaN stays one


class Recordings(Protocol):
    """Where the tables of a sweep or an experiment read more than its results hold."""

    def rows(self, job_ids: Sequence[int]) -> list[JobRow]:
        """The jobs of these numbers."""

    def scores(self, job_ids: Sequence[int]) -> Scores:
        """Their scores."""

    def kept_points(self, job_ids: Sequence[int]) -> list[MetricValue]:
        """Their metrics at the epoch whose weights are kept."""

    def points(self, job_ids: Sequence[int]) -> list[MetricValue]:
        """Their metrics at every epoch."""

    def curves(self, job_ids: Sequence[int], metric: str, phase: str) -> Curves:
        """One metric of theirs."""

    def attempts(self, job_ids: Sequence[int]) -> list[dict[str, Any]]:
        """{worker, job, start, end, outcome} of each of their attempts, by start."""

    def artifact(self, row: JobRow) -> str | None:
        """Where the weights of a job are to be had; None if it has none."""

    def is_over(self, sweep: str) -> bool:
        """Whether a sweep has ended."""


class StoredRecordings:
    """In SQL. Each method may raise DatabaseError."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings

    def rows(self, job_ids: Sequence[int]) -> list[JobRow]:
        """As Recordings."""
        with self._database.read() as c:
            return lookup.jobs_by_id(c, job_ids)

    def scores(self, job_ids: Sequence[int]) -> Scores:
        """As Recordings."""
        with self._database.read() as c:
            return lookup.scores_of(c, job_ids)

    def kept_points(self, job_ids: Sequence[int]) -> list[MetricValue]:
        """As Recordings."""
        with self._database.read() as c:
            return lookup.kept_points(c, job_ids)

    def points(self, job_ids: Sequence[int]) -> list[MetricValue]:
        """As Recordings."""
        with self._database.read() as c:
            return lookup.curves(c, job_ids)

    def curves(self, job_ids: Sequence[int], metric: str, phase: str) -> Curves:
        """As Recordings."""
        with self._database.read() as c:
            return table.curves(c, job_ids, metric, phase)

    def attempts(self, job_ids: Sequence[int]) -> list[dict[str, Any]]:
        """As Recordings."""
        with self._database.read() as c:
            return table.attempts_of(c, job_ids)

    def artifact(self, row: JobRow) -> str | None:
        """As Recordings."""
        path = row.artifact_path
        return Storage.of(self._settings).shown(path) if path else None

    def is_over(self, sweep: str) -> bool:
        """As Recordings."""
        with self._database.read() as c:
            row = sweep_table.find(c, sweep)
        return row is None or row.ended_at is not None
