"""Fleet: the handle that scripts submit to, wait on and compare with."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fitfleet.analysis import compare as comparison
from fitfleet.analysis.direction import compiled_parts
from fitfleet.analysis.objective import objectives
from fitfleet.analysis.ranking import rank
from fitfleet.analysis.runs import experiment_runs
from fitfleet.client.disk import DiskUsage, disk_usage
from fitfleet.client.display import Display
from fitfleet.client.job import Job
from fitfleet.client.jobs import Jobs
from fitfleet.client.reading import Reading
from fitfleet.client.sweep import Sweep
from fitfleet.client.wait import wait_for
from fitfleet.client.waiting import unserved
from fitfleet.data.in_memory import DataStore
from fitfleet.db import experiments as experiment_table
from fitfleet.db import jobs as job_table
from fitfleet.db import lookup
from fitfleet.db.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.errors import (
    BrokerError,
    FitfleetError,
    JobFailedError,
    NotFoundError,
    SettingsError,
)
from fitfleet.scheduler import removal
from fitfleet.scheduler.removal import Removal
from fitfleet.settings import Settings, without_password
from fitfleet.states import JobStatus
from fitfleet.submit import Submission
from fitfleet.sweeps.design import Design, design
from fitfleet.sweeps.driver import find_sweep
from fitfleet.text import html_table
from fitfleet.weights.starting import Starting

if TYPE_CHECKING:
    import pandas as pd

    from fitfleet.dashboard.notebook import FleetView

# How often a script that submits one job after another looks whether the broker is there.
_BROKER_POLL_S = 5.0


class Fleet(AbstractContextManager["Fleet"]):
    """Jobs, wherever they run.

    Made by `ff.local(...)` (its workers are started here) or `ff.connect(...)` (a fleet that runs
    elsewhere). Every method may raise DatabaseError.
    """

    # Of workers that this process has started, which may not be up yet.
    _starting_queue: str | None = None

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self._broker_polled_at = -_BROKER_POLL_S
        self._page: Any = None  # the dashboard, once it is served

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {without_password(self.settings.database_url)}>"

    def _repr_html_(self) -> str:
        with self.database.read() as c:
            found = lookup.experiment_summary(c)
        lines = [
            [one["name"], "yes" if one["is_paused"] else ""]
            + [one["jobs"].get(status.value, "") for status in JobStatus]
            for one in found
        ]
        header = ["experiment", "paused", *(status.value.lower() for status in JobStatus)]
        return html_table(header, lines, note=without_password(self.settings.database_url))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database's connections, and end the dashboard. Jobs continue."""
        self._close_page()
        self.database.dispose()

    def dashboard(self, experiment: str | None = None) -> FleetView:
        """Serve the fleet on a page of this machine, until the fleet is closed.

        `.url` of what is returned signs one browser in, once. In a notebook the cell shows the
        link, and the experiment (by default the newest) as it goes. MissingExtraError without the
        extra `dashboard`.
        """
        # The page is a room above this one; this method is its door for scripts.
        from fitfleet.dashboard.notebook import view

        found = view(self, self._page, experiment)
        self._page = found.page
        return found

    def _close_page(self) -> None:
        if self._page is not None:
            self._page.stop()
            self._page = None

    def _heading(self) -> str:
        """The first line of a progress display."""
        return f"dashboard: {self._page.url}" if self._page is not None else ""

    def submit(self, *, again: bool = False, **job: Any) -> Job:
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
        submission = Submission(self.settings, is_own_call=not are_untrusted)
        rows = []
        documents = list(jobs)
        data = DataStore(self.settings, Reading())
        for index, document in enumerate(documents):
            try:
                rows.append(submission.row(data.replaced(document), again=again))
            except FitfleetError as error:
                if len(documents) > 1:
                    error.args = (f"jobs[{index}]: {error}",)
                raise
        return self._insert(submission, rows)

    def _insert(self, submission: Submission, rows: Sequence[job_table.NewJob]) -> Jobs:
        named = {row.queue for row in rows} - {self.settings.queue}
        with self.database.begin() as c:
            inserted = job_table.insert(c, list(rows))
            found = lookup.jobs_by_id(c, [job_id for job_id, _ in inserted])
            alone = unserved(c, named, starting=self._starting_queue) if named else []
        for line in [*submission.warnings, *_failed_before(found, inserted), *alone]:
            warnings.warn(line, stacklevel=4)
        if any(is_new for _, is_new in inserted):
            self._look_at_broker()
        return Jobs(
            Job(self.database, self.settings, row, is_reused=not is_new)
            for row, (_, is_new) in zip(found, inserted, strict=True)
        )

    def _look_at_broker(self) -> None:
        if time.monotonic() - self._broker_polled_at < _BROKER_POLL_S:
            return
        self._broker_polled_at = time.monotonic()
        from fitfleet.queue import celery_app, ping

        try:
            ping(celery_app(self.settings))
        except BrokerError as error:
            warnings.warn(
                f"{error}; the job is kept in the database and starts when the broker is back",
                stacklevel=5,
            )

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
        console = Console(stderr=True)
        display = Display(console, self._heading())
        with display.shown():
            wait_for(
                self.database,
                [job.id for job in handles],
                timeout_s=timeout_s,
                on_poll=self._on_look,
                on_snapshot=display.draw,
                snapshot_s=display.every_s,
            )
        self._refresh(handles)
        display.conclude([job.row for job in handles])
        failed = [job for job in handles if job.status is JobStatus.FAILED]
        if failed and raise_on_failure:
            more = f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
            raise JobFailedError(f"job {failed[0].id} failed: {failed[0].error}{more}")
        return handles

    def _on_look(self) -> None:
        """Called while waiting; an embedded fleet looks after its workers here."""

    def _handles(self, jobs: Iterable[Job | int] | Job | int | None) -> Jobs:
        if jobs is None:
            unfinished = [status for status in JobStatus if not status.is_terminal]
            with self.database.read() as c:
                rows = lookup.find_jobs(c, statuses=unfinished)
            return Jobs(Job(self.database, self.settings, row) for row in rows)
        if isinstance(jobs, Job | int):
            jobs = [jobs]
        return Jobs(job if isinstance(job, Job) else self.job(job) for job in jobs)

    def _refresh(self, handles: Sequence[Job]) -> None:
        with self.database.read() as c:
            rows = {row.id: row for row in lookup.jobs_by_id(c, [job.id for job in handles])}
        for job in handles:
            job.update(rows.get(job.id, job.row))

    def job(self, job_id: int) -> Job:
        """The job of that number. NotFoundError if there is none."""
        with self.database.read() as c:
            row = lookup.job(c, job_id)
        if row is None:
            raise NotFoundError(f"there is no job {job_id}; `fitfleet ps` lists those there")
        return Job(self.database, self.settings, row)

    def jobs(
        self,
        experiment: str | None = None,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        *,
        limit: int | None = None,
    ) -> Jobs:
        """Jobs by experiment and status, oldest first; with `limit` the newest so many."""
        given = [status] if isinstance(status, str) else list(status or [])
        with self.database.read() as c:
            rows = lookup.find_jobs(c, experiment, [_status(s) for s in given], limit)
        return Jobs(Job(self.database, self.settings, row) for row in rows)

    def compare(
        self,
        experiment: str = "default",
        metric: str | None = None,
        *,
        direction: str | None = None,
        at: comparison.At = "last",
        top: int | None = None,
        status: JobStatus | str | Iterable[JobStatus | str] | None = JobStatus.SUCCEEDED,
    ) -> pd.DataFrame:
        """A row a job of the experiment, best first; see `analysis.compare.compare`.

        Only succeeded jobs, unless `status` says which (None: all).
        """
        given = [status] if isinstance(status, str) else list(status or JobStatus)
        return comparison.compare(
            self.database,
            experiment,
            metric=metric,
            direction=direction,
            at=at,
            top=top,
            statuses=[_status(s) for s in given],
        )

    def best(
        self,
        experiment: str = "default",
        metric: str | None = None,
        *,
        direction: str | None = None,
        at: comparison.At = "last",
    ) -> Job:
        """The succeeded job that `compare` puts first. NotFoundError while there is none."""
        return self.job(
            comparison.best_job(
                self.database, experiment, metric=metric, direction=direction, at=at
            )
        )

    def sweep(self, **arguments: Any) -> Sweep:
        """A search over the spaces (`ff.choice`, ...) anywhere in the arguments of `submit`.

        Beside those of `submit`: `search` (grid, random, tpe, gp, cmaes, qmc), `trials`,
        `repeats` (3, or "3..10" for a race), `folds` (5, or {"kind": "stratified", "k": 5}),
        `objective` and `direction` (one or several), `at` ("last" or "best" epoch), `pruner`,
        `max_running`, `adopt` (take results over from other experiments), `name` (default: the
        experiment). `seed` is the search's and the first repeat's.

        Nothing is written before `run` or `submit` of the handle. SearchError or SpecError says
        what is wrong.
        """
        given = DataStore(self.settings, Reading()).replaced(arguments)
        made = design(Starting(self.settings, is_own_call=True).of_sweep(given))
        return Sweep(self.database, self.settings, made, is_own_call=True, on_poll=self._on_look)

    def untrusted_sweep(self, arguments: Mapping[str, Any]) -> Sweep:
        """The same for arguments out of a file: only builders of trusted modules are called."""
        given = DataStore(self.settings, Reading()).replaced(arguments)
        made = design(Starting(self.settings).of_sweep(given))
        return Sweep(self.database, self.settings, made, on_poll=self._on_look)

    def resume_sweep(self, name: str) -> Sweep:
        """The sweep of that name, from any machine: `.run()` resumes it. NotFoundError.

        Its design comes from the database: a builder's module must be trusted here.
        """
        found = Design.from_json(find_sweep(self.database, name).document)
        return Sweep(self.database, self.settings, found, on_poll=self._on_look)

    def rank(
        self,
        experiment: str = "default",
        objective: str | Sequence[str] = "val_loss",
        *,
        direction: str | Sequence[str] | None = None,
        at: comparison.At = "last",
        by: str | Sequence[str] | None = None,
        where: str | None = None,
        top: int | None = None,
    ) -> pd.DataFrame:
        """The configurations of an experiment, however submitted: mean, interval, ties.

        See `analysis.ranking.rank`; `compare` has a row a job instead.
        """
        wanted = objectives(
            objective, direction, at, lambda name: compiled_parts(self.database, name, experiment)
        )
        runs = experiment_runs(self.database, experiment, wanted)
        return rank(runs, wanted, by=by, where=where, top=top)

    def limit(self, experiment: str, max_running: int | None) -> None:
        """Bound how many jobs of the experiment are in flight at once; None: no bound.

        SettingsError below 1: to run none, pause it.
        """
        if max_running is not None and max_running < 1:
            raise SettingsError(f"max_running: {max_running} is below 1; to run none, pause it")
        with self.database.begin() as c:
            experiment_table.limit_running(c, experiment, max_running)

    def pause(self, experiment: str) -> None:
        """Start no more jobs of the experiment; its running ones give back their place."""
        with self.database.begin() as c:
            experiment_table.pause(c, experiment)

    def resume(self, experiment: str) -> None:
        """Go on with a paused experiment."""
        with self.database.begin() as c:
            experiment_table.resume(c, experiment)

    def remove(
        self, jobs: Iterable[Job | int] = (), *, experiment: str | None = None, is_dry: bool = False
    ) -> Removal:
        """Remove ended jobs, or an experiment whose jobs have all ended, with all their files.

        What went, or with `is_dry` would go. StateError for a job that has not ended or that a
        sweep compares; NotFoundError. There is no way back.
        """
        if experiment is not None:
            return removal.remove_experiment(
                self.database, self.settings, experiment, is_dry=is_dry
            )
        numbers = [job.id if isinstance(job, Job) else job for job in jobs]
        return removal.remove_jobs(self.database, self.settings, numbers, is_dry=is_dry)

    def disk_usage(self) -> DiskUsage:
        """What the fleet uses of the disk, by experiment."""
        return disk_usage(self.database, self.settings)


def _failed_before(rows: Sequence[JobRow], inserted: Sequence[tuple[int, bool]]) -> Iterator[str]:
    """What is there already and has failed would stay so, however often it is submitted."""
    for row, (_, is_new) in zip(rows, inserted, strict=True):
        if row.status is JobStatus.FAILED and not is_new:
            yield (
                f"job {row.id} is there already and has failed ({row.failure_class}:"
                f" {row.failure_message}); run it again with job.retry() or"
                f" `fitfleet retry {row.id}`"
            )


def _status(value: JobStatus | str) -> JobStatus:
    try:
        return JobStatus(value.upper())
    except ValueError:
        known = ", ".join(status.value for status in JobStatus)
        raise FitfleetError(f"status: {value!r} is none of {known}") from None


def connect(
    database_url: str | None = None,
    broker_url: str | None = None,
    storage: str | None = None,
    **settings: Any,
) -> Fleet:
    """A fleet whose scheduler and workers run elsewhere.

    What is not given comes from FITFLEET_* variables, fitfleet.toml, then the defaults.
    SettingsError for a bad setting; DatabaseError if the database is away or its tables are not
    those of this version.
    """
    given = {"database_url": database_url, "broker_url": broker_url, "storage": storage}
    loaded = Settings.load({**given, **settings})
    database = Database(loaded.database_url)
    database.check_schema()
    return Fleet(loaded, database)
