"""Submitting jobs, finding them again and waiting for them: what all of a Fleet builds on."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from fitfleet.client.display.display import FAILURES, Display
from fitfleet.client.display.progress_snapshot import outcome
from fitfleet.client.display.reading_progress import Reading
from fitfleet.client.job import Job
from fitfleet.client.jobs import Jobs
from fitfleet.client.submit_notices import Notices
from fitfleet.client.wait import wait_for
from fitfleet.client.wait_reasons import unfit, unserved
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.jobs.new_job import JobRecord, Records
from fitfleet.db.reading import lookup, progress
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Connection, Database
from fitfleet.errors import (
    FitfleetError,
    JobFailedError,
    NotFoundError,
    SpecError,
)
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.submit import Submission


class FleetJobs:
    """Jobs of a database, local or remote. Every method may raise DatabaseError."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.notices = Notices(database, settings)

    def submit(self, *unnamed: Any, again: bool = False, **job: Any) -> Job:
        """Queue one fit and return its handle.

        `model` and `dataset` are needed; all else has Keras's names: `optimizer`, `loss`,
        `metrics`, `batch_size`, `epochs`, `validation_split`, `callbacks`, `seed`, ... and, for
        what is not computed, `experiment`, `params`, `priority`, `queue`, `timeout_s`, ...
        (the fields of JobSpec and JobOptions).

        `dataset` is a path, `ff.Dataset(...)`, or what Keras's `fit` takes: `(x, y)` of arrays,
        lists or dicts of arrays, DataFrames, or a tf.data.Dataset, PyDataset or generator, with
        `validation_data` and `sample_weight` beside it. Data from memory is written once to a
        file of the storage.

        The same content in the same experiment is the same job: it is returned with
        `is_reused`, whatever its state, unless `again`. Nothing is queued when SpecError or
        DatasetError is raised. With the broker away the job is kept, and a warning says so.
        """
        if unnamed:
            raise SpecError(
                "submit", "takes its arguments by name: model=model, dataset=(x, y), epochs=10, ..."
            )
        return self.submit_many([job], again=again)[0]

    def submit_many(
        self,
        jobs: Iterable[Mapping[str, Any]],
        *,
        again: bool = False,
        are_untrusted: bool = False,
    ) -> Jobs:
        """Queue many fits in one transaction: all of them or, if one is refused, none.

        Each is a mapping of the arguments of `submit`. SpecError names the job by its index.
        With `are_untrusted`, as for a job file, only builders of trusted modules are called here.
        """
        submission = Submission(self.settings, is_scripted=not are_untrusted)
        rows, records = [], Records()
        data = DataStore(self.settings, Reading())
        documents = iter(jobs)
        for index, document in enumerate(documents):
            try:
                rows.append(records.of(submission.row(data.replaced(document), again=again)))
            except FitfleetError as error:
                if index or next(documents, None) is not None:
                    error.args = (f"jobs[{index}]: {error}",)
                raise
        return self._insert(submission, rows)

    def _insert(self, submission: Submission, rows: Sequence[JobRecord]) -> Jobs:
        jobs, lines = insert(self, submission, rows)
        for line in [*lines, *self.notices.unserved_once(waiting_queues(jobs))]:
            warnings.warn(line, stacklevel=4)
        return jobs

    def _unfit(self, c: Connection, rows: Sequence[JobRecord]) -> list[str]:
        """Sentences on requirements that no live worker satisfies."""
        required = {(row.queue, row.requirement) for row in rows if row.requirement}
        if not required:
            return []
        return unfit(c, required, self.settings.lease_s, starting=self.notices.starting)

    def wait(
        self,
        jobs: Iterable[Job | int] | Job | int | None = None,
        *,
        timeout_s: float | None = None,
        raise_on_failure: bool = False,
    ) -> Jobs:
        """Block until the jobs have ended, by default all that have not; return them, refreshed.

        On a terminal and in a notebook a live display shows how they go; in a pipe there is a line
        every half minute. A job that failed raises only if `raise_on_failure` (JobFailedError, when
        all have ended). WaitTimeoutError after `timeout_s`.
        """
        handles = self._handles(jobs)
        counts = self.follow(
            [job.id for job in handles], timeout_s=timeout_s, is_raised=raise_on_failure
        )
        self._refresh(handles)
        if counts.get(JobStatus.FAILED) and raise_on_failure:
            failed = [job for job in handles if job.status is JobStatus.FAILED]
            more = f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
            raise JobFailedError(f"job {failed[0].id} failed: {failed[0].error}{more}")
        return handles

    def follow(
        self, job_ids: Sequence[int], *, timeout_s: float | None = None, is_raised: bool = False
    ) -> dict[JobStatus, int]:
        """`wait` for jobs by number; how many ended how. It reads and keeps no more of them.

        `is_raised`: the caller tells the first failure.
        """
        display = Display(Console(stderr=True), self._heading())
        with display.shown():
            wait_for(
                self.database,
                job_ids,
                self.settings.lease_s,
                timeout_s=timeout_s,
                on_poll=self._on_poll,
                on_snapshot=display.draw,
                snapshot_s=display.every_s,
            )
        counts, failed = outcome(self.database, job_ids, FAILURES)
        display.conclude(counts, failed, is_raised=is_raised)
        return counts

    def unfinished(self, experiment: str | None = None) -> list[int]:
        """The numbers of all jobs that have not ended, of an experiment or of the fleet."""
        with self.database.read() as c:
            return progress.unfinished(c, experiment)

    def _on_poll(self) -> None:
        """Called while waiting; an embedded fleet looks after its workers here."""

    def _handles(self, jobs: Iterable[Job | int] | Job | int | None) -> Jobs:
        if jobs is None:
            return Jobs(map(self._handle, self._rows(self.unfinished())))
        if isinstance(jobs, Job | int):
            jobs = [jobs]
        return Jobs(job if isinstance(job, Job) else self.job(job) for job in jobs)

    def _refresh(self, handles: Sequence[Job]) -> None:
        rows = {row.id: row for row in self._rows([job.id for job in handles])}
        for job in handles:
            job.update(rows.get(job.id, job.row))

    def _rows(self, job_ids: Sequence[int]) -> list[JobRow]:
        with self.database.read() as c:
            return lookup.jobs_by_id(c, job_ids)

    def _handle(self, row: JobRow) -> Job:
        return Job(self.database, self.settings, row, starting=self.notices.starting)

    def job(self, job_id: int) -> Job:
        """The job of that number. NotFoundError if there is none."""
        rows = self._rows([job_id])
        if not rows:
            raise NotFoundError(f"there is no job {job_id}; `fitfleet ps` lists those there")
        return self._handle(rows[0])

    def jobs(
        self,
        experiment: str | None = None,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        *,
        limit: int | None = None,
    ) -> Jobs:
        """Jobs by experiment and status, oldest first; with `limit` the newest N."""
        statuses = [status] if isinstance(status, str) else list(status or [])
        with self.database.read() as c:
            rows = lookup.find_jobs(c, experiment, [job_status(s) for s in statuses], limit)
        return Jobs(map(self._handle, rows))

    def experiments(self) -> list[dict[str, Any]]:
        """Each experiment: `name`, `is_paused`, and `jobs`, their number by status."""
        with self.database.read() as c:
            return lookup.experiment_summary(c)

    def recorded(self, job_ids: Sequence[int]) -> dict[int, dict[str, dict[str, Any]]]:
        """What jobs have recorded, by number: `values` of the epoch that is kept, and `scores`."""
        with self.database.read() as c:
            points, scores = lookup.kept_points(c, job_ids), lookup.scores_of(c, job_ids)
        by_job: dict[int, dict[str, dict[str, Any]]] = {
            job_id: {"values": {}, "scores": scores.get(job_id, {})} for job_id in job_ids
        }
        for point in points:
            by_job[point.job_id]["values"][point.name] = point.value
        return by_job

    def unserved(self, queues: Iterable[str]) -> list[str]:
        """A sentence for each of these queues that no worker serves, while others are served."""
        with self.database.read() as c:
            return unserved(c, set(queues), self.settings.lease_s)

    def _heading(self) -> str:
        """The first line of a progress display."""
        return ""


def insert(
    fleet: FleetJobs, submission: Submission, rows: Sequence[JobRecord]
) -> tuple[Jobs, list[str]]:
    """Write checked rows in one transaction; with the jobs what the user should hear."""
    with fleet.database.begin() as c:
        inserted = job_table.insert_records(c, rows)
        stored = lookup.jobs_by_id(c, [job_id for job_id, _ in inserted])
        lacking = fleet._unfit(c, rows)
    lines = [*submission.warnings, *_failed_before(stored, inserted), *lacking]
    if any(is_new for _, is_new in inserted):
        lines += fleet.notices.broker_away()
    jobs = Jobs(
        Job(
            fleet.database,
            fleet.settings,
            row,
            is_reused=not is_new,
            starting=fleet.notices.starting,
        )
        for row, (_, is_new) in zip(stored, inserted, strict=True)
    )
    return jobs, lines


def waiting_queues(jobs: Iterable[Job]) -> set[str]:
    """The queues of those that have not ended."""
    return {job.row.queue for job in jobs if not job.row.status.is_terminal}


def _failed_before(rows: Sequence[JobRow], inserted: Sequence[tuple[int, bool]]) -> Iterator[str]:
    """What is there already and has failed would stay so, however often it is submitted."""
    for row, (_, is_new) in zip(rows, inserted, strict=True):
        if row.stopped_by is not None and not is_new and row.status is JobStatus.SUCCEEDED:
            yield (
                f"job {row.id} was submitted before and {row.remark}; continue it with"
                f" job.extend(epochs={row.epochs})"
            )
        if row.status is JobStatus.FAILED and not is_new:
            yield (
                f"job {row.id} was submitted before and has failed ({row.failure_class}:"
                f" {row.failure_message}); run it again with job.retry() or"
                f" `fitfleet retry {row.id}`"
            )


def job_status(value: JobStatus | str) -> JobStatus:
    """The status of that name, in any case. FitfleetError if there is none."""
    try:
        return JobStatus(value.upper())
    except ValueError:
        known = ", ".join(status.value for status in JobStatus)
        raise FitfleetError(f"status: {value!r} is not one of {known}") from None
