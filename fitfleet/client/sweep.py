"""Sweep: a handle on a sweep. Its design, trials and jobs are in the database, nothing in here."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fitfleet.analysis import frames
from fitfleet.analysis.lineage import lineage_frame
from fitfleet.analysis.ranking import best_trial, rank
from fitfleet.analysis.recordings import Recordings, StoredRecordings
from fitfleet.analysis.results import Results
from fitfleet.analysis.runs import sweep_runs
from fitfleet.client.display.display import FAILURES, Display
from fitfleet.client.display.names import shown
from fitfleet.client.display.progress_snapshot import Snapshot, outcome, take
from fitfleet.client.job import Job
from fitfleet.client.jobs import Jobs
from fitfleet.db.outages import OUTAGE_POLL_S, Tolerance
from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.session import Database
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.db.sweeps.lineage import of_sweep
from fitfleet.db.sweeps.sweeps import SweepRow
from fitfleet.errors import NotFoundError, WaitTimeoutError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.design.imported_rows import with_imported
from fitfleet.sweeps.driving.driver import Driver, Progress
from fitfleet.sweeps.driving.sweep_rows import find_sweep, open_sweep
from fitfleet.sweeps.planning.plan import plan as make_plan
from fitfleet.sweeps.planning.plan_rows import Plan
from fitfleet.text import html_table

if TYPE_CHECKING:
    import pandas as pd

    from fitfleet.sweeps.exports import Exports
    from fitfleet.sweeps.plots import Plots

_POLL_S = 0.1
_TOP = 5
# A driver outlives a restart of the database.
_OUTAGE_S = 120.0


class Sweep:
    """A search with its repeats and folds. Made by `Fleet.sweep`, found by `Fleet.resume_sweep`.

    Every method may raise DatabaseError. Any number of handles, in any processes, may run one
    sweep at once or one after another. A builder is called here if it is trusted, or if this
    program asked for the sweep itself (`is_scripted`).
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        design: Design,
        *,
        is_scripted: bool = False,
        on_poll: Callable[[], None] = lambda: None,
        unserved: Callable[[Collection[str]], list[str]] = lambda queues: [],
    ) -> None:
        """`unserved` gives a sentence for each of these queues that no live worker serves."""
        self.design = design
        self._is_scripted = is_scripted
        self._database, self._settings = database, settings
        self._on_poll, self._unserved = on_poll, unserved
        self._driver: Driver | None = None

    def __repr__(self) -> str:
        return f"<Sweep {self.name!r} {self.design.search} of {self.design.experiment!r}>"

    def _repr_html_(self) -> str:
        if not self._is_written():
            return html_table([], [["sweep", self.name], ["", "not submitted yet"]])
        results = self._results()
        states = Counter(trial.state for trial in results.trials())
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        frame = rank(sweep_runs(results), self.design.wanted, top=_TOP)
        lines = [[_short(value) for value in line] for line in frame.itertuples(index=False)]
        wanted = self.design.wanted[0].name
        note = f"{self.name}: {counts or 'no trial yet'}; the best by {wanted} first"
        return html_table(list(frame.columns), lines, note)

    @property
    def name(self) -> str:
        return self.design.name

    @property
    def experiment(self) -> str:
        return self.design.experiment

    def plan(self) -> Plan:
        """What would run, what is there already, what is refused and why. Nothing is queued."""
        return make_plan(self._database, self._settings, self.design, is_scripted=self._is_scripted)

    def submit(self) -> Sweep:
        """Write the sweep down and queue what can be asked for now; return at once.

        A grid or random search is queued whole. A search that learns continues while somebody runs
        it: this script (`run`), another one (`Fleet.resume_sweep`), or `fitfleet scheduler`.
        SearchError if the name belongs to another design, or if every point is refused.
        """
        driver = self._drive()
        progress = driver.step()
        while driver.is_listed and not driver.has_all_points(progress):
            progress = driver.step()
        self._warn(driver)
        return self

    def run(self, *, timeout_s: float | None = None) -> Sweep:
        """Drive the sweep to its end; a live display on a terminal, a line now and then in a pipe.

        It may be stopped at any time and resumed from anywhere. WaitTimeoutError after
        `timeout_s`; the jobs that are queued continue then.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._open()
        display = Display(Console(stderr=True))
        drawn_at, outages = time.monotonic(), Tolerance(_OUTAGE_S)
        with display.shown():
            while True:
                self._on_poll()
                progress, began = None, time.monotonic()
                with outages:
                    is_due = began - drawn_at > display.every_s
                    progress, snapshot = self._advance(is_shown=is_due)
                    if snapshot is not None:
                        display.draw(snapshot)
                        drawn_at = time.monotonic()
                if progress is None:
                    time.sleep(OUTAGE_POLL_S)
                    continue
                if progress.is_done:
                    break
                if deadline is not None and time.monotonic() > deadline:
                    raise WaitTimeoutError(
                        f"sweep {self.name!r} has {progress.jobs_open} unfinished jobs after"
                        f" {timeout_s:g} s; resume it with fleet.resume_sweep({self.name!r}).run()"
                    )
                time.sleep(self._pause_s(time.monotonic() - began))
        display.conclude(*self._outcome())
        return self

    def _open(self) -> None:
        """Write it down, or find it."""
        self._drive()

    def _advance(self, *, is_shown: bool) -> tuple[Progress, Snapshot | None]:
        """Do one step; its progress, and if `is_shown`, the state of its jobs."""
        driver = self._drive()
        progress = driver.step()
        self._warn(driver)
        if not is_shown:
            return progress, None
        return progress, take(self._database, driver.job_ids(), self._settings.lease_s)

    def _pause_s(self, step_s: float) -> float:
        """Seconds until the next step, after one that took `step_s`."""
        return _POLL_S

    def _outcome(self) -> tuple[dict[JobStatus, int], list[JobRow]]:
        return outcome(self._database, self._drive().job_ids(), FAILURES)

    @property
    def progress(self) -> Progress:
        """The progress of the sweep now."""
        driver = self._drive()
        driver.results.read(self._database, self._row().id)
        return driver.progress()

    def trials(self) -> pd.DataFrame:
        """One row per trial: parameters, state, means of the objectives, why refused or pruned.

        Points of `points_from` come last, with the state `imported` and no number.
        """
        return with_imported(frames.trials_frame(self._results()), self.design)

    def lineage(self) -> pd.DataFrame:
        """Of population-based training, a row a member of a generation: whom it continues, and how.

        The columns are those of the view `lineage`; empty for another search.
        """
        with self._database.read() as c:
            return lineage_frame(of_sweep(c, self.name))

    def jobs(self, trial: int | None = None) -> Jobs:
        """The jobs of the sweep, or of one trial, by trial and replicate."""
        results = self._results()
        ids = [
            replicate.job_id
            for number, replicates in sorted(results.replicates.items())
            for replicate in replicates
            if trial is None or number == trial
        ]
        return self._handles(ids)

    @property
    def best_trial(self) -> int:
        """Number of the trial with the best mean. NotFoundError while none is complete."""
        return best_trial(self._results())

    @property
    def best_params(self) -> dict[str, Any]:
        """The parameters of the best trial."""
        results = self._results()
        number = best_trial(results)
        return next(dict(row.point) for row in results.rows if row.number == number)

    @property
    def best(self) -> Job:
        """The job of the best trial with the best value of the first objective."""
        results = self._results()
        sign = 1.0 if results.wanted[0].direction == "minimize" else -1.0
        replicates = results.replicates[best_trial(results)]
        first = min(replicates, key=lambda m: sign * results.values[m.job_id][0])
        handles = self._handles([first.job_id])
        if not handles:
            raise NotFoundError(f"job {first.job_id} was removed")
        return handles[0]

    def compare(
        self,
        *,
        by: str | Sequence[str] | None = None,
        where: str | None = None,
        top: int | None = None,
    ) -> pd.DataFrame:
        """One row per configuration, best mean first: n, mean, 95 % interval, ties by paired tests.

        `by` compares the values of some parameters, paired over all else; `where` filters, such
        as "units > 16". See `analysis.ranking.rank` for the columns.
        """
        runs = sweep_runs(self._results())
        return rank(runs, self.design.wanted, by=by, where=where, top=top)

    @property
    def plot(self) -> Plots:
        """Pictures: `sweep.plot.curves("curves.png")`, `parallel_coordinates("pc.html")`, ..."""
        from fitfleet.sweeps.plots import Plots

        return Plots(self._recordings, self._results(), self.name, self.design)

    @property
    def export(self) -> Exports:
        """`sweep.export.to_pandas()`, `to_csv`, `to_parquet`, `to_tensorboard`, `to_mlflow`."""
        from fitfleet.sweeps.exports import Exports

        return Exports(self._recordings, self._results, self.experiment, self.name)

    @property
    def _recordings(self) -> Recordings:
        return StoredRecordings(self._database, self._settings)

    def _handles(self, job_ids: Sequence[int]) -> Jobs:
        with self._database.read() as c:
            rows = lookup.jobs_by_id(c, job_ids)
        return Jobs(Job(self._database, self._settings, row) for row in rows)

    def _is_written(self) -> bool:
        with self._database.read() as c:
            return sweep_table.find(c, self.name) is not None

    def _row(self) -> SweepRow:
        return find_sweep(self._database, self.name)

    def _drive(self) -> Driver:
        if self._driver is None:
            row = open_sweep(self._database, self.design)
            self._driver = Driver(
                self._database, self._settings, row, is_scripted=self._is_scripted
            )
        return self._driver

    def _results(self) -> Results:
        results = Results(self.design.wanted)
        results.read(self._database, self._row().id)
        return results

    def _warn(self, driver: Driver) -> None:
        """Say what the user should hear of the jobs made since the last call."""
        for line in [*driver.warnings, *self._unserved(driver.queues)]:
            warnings.warn(line, stacklevel=3)
        driver.warnings.clear()
        driver.queues.clear()


def _short(value: Any) -> str:
    """A cell of a table; empty where there is no value."""
    return "" if value is None or value != value else shown(value)
