"""Fleet: the handle that scripts submit to, wait on and compare with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fitfleet.analysis import compare as comparison
from fitfleet.analysis.configurations import rank_experiment
from fitfleet.analysis.direction import compiled_parts
from fitfleet.analysis.objective import objectives
from fitfleet.client import experiment as experiment_views
from fitfleet.client.display.reading_progress import Reading
from fitfleet.client.ensemble import Ensemble, ensemble
from fitfleet.client.fleet_disk import FleetDisk
from fitfleet.client.fleet_jobs import job_status
from fitfleet.client.job import Job
from fitfleet.client.sweep import Sweep
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.db.jobs import experiments as experiment_table
from fitfleet.db.session import Database
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.errors import SettingsError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.sweeps.design.design import Design, design
from fitfleet.sweeps.driving.sweep_rows import find_sweep
from fitfleet.sweeps.spaces import hypermodels
from fitfleet.text import html_table
from fitfleet.urls import without_password
from fitfleet.weights.initial_weights import Starting

if TYPE_CHECKING:
    import pandas as pd

    from fitfleet.dashboard.notebook import FleetView
    from fitfleet.sweeps.exports import Exports
    from fitfleet.sweeps.plots import Plots


class Fleet(FleetDisk, AbstractContextManager["Fleet"]):
    """Jobs, wherever they run.

    Made by `ff.local(...)` (its workers are started here) or `ff.connect(...)` (a fleet that runs
    elsewhere). Every method may raise DatabaseError.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__(settings, database)
        self._page: Any = None  # the dashboard, once it is served

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._place}>"

    @property
    def _place(self) -> str:
        return without_password(self.settings.database_url)

    def _repr_html_(self) -> str:
        lines = [
            [summary["name"], "yes" if summary["is_paused"] else ""]
            + [summary["jobs"].get(status.value, "") for status in JobStatus]
            for summary in self.experiments()
        ]
        header = ["experiment", "paused", *(status.value.lower() for status in JobStatus)]
        return html_table(header, lines, note=self._place)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database's connections, and end the dashboard. Jobs continue."""
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

        shown = view(self, self._page, experiment)
        self._page = shown.page
        return shown

    def _close_page(self) -> None:
        if self._page is not None:
            self._page.stop()
            self._page = None

    def _heading(self) -> str:
        """The first line of a progress display."""
        return f"dashboard: {self._page.url}" if self._page is not None else ""

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
        """One row per job of the experiment, best first; see `analysis.compare.compare`.

        Only succeeded jobs, unless `status` says which (None: all).
        """
        statuses = [status] if isinstance(status, str) else list(status or JobStatus)
        return comparison.compare(
            self.database,
            experiment,
            metric=metric,
            direction=direction,
            at=at,
            top=top,
            statuses=[job_status(s) for s in statuses],
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

    def ensemble(
        self,
        experiment: str = "default",
        *,
        top: int = 5,
        metric: str = "val_loss",
        direction: str | None = None,
        candidates: int = 20,
    ) -> Ensemble:
        """At most `top` jobs of the experiment whose weighted mean predicts validation rows best.

        Of the best `candidates`, by `metric`; see `client.ensemble.ensemble`. `.members` has their
        shares, `.export("ensemble.keras")` writes one Keras model. Needs the extra `worker`.
        """
        chosen_by = (metric, direction, candidates)
        return ensemble(self.database, self.settings, experiment, top, *chosen_by)

    def sweep(self, **arguments: Any) -> Sweep:
        """A search over the spaces (`ff.choice`, ...) anywhere in the arguments of `submit`.

        Beside those of `submit`: `search` (grid, random, tpe, gp, cmaes, qmc), `trials`,
        `repeats` (3, or "3..10" for a race), `folds` (5, or {"kind": "stratified", "k": 5}),
        `objective` and `direction` (one or several), `at` ("last" or "best" epoch), `pruner`,
        `max_running`, `adopt` (take results over from other experiments), `name` (default: the
        experiment), `points_from` (an Optuna study, the URL of its storage or a KerasTuner project:
        what a search knows before). `seed` is the search's and the first repeat's. KerasTuner's
        build functions and HyperModels are taken as `model`, and called here; so is its Objective.

        Nothing is written before `run` or `submit` of the handle. SearchError or SpecError says
        what is wrong.
        """
        points_from = arguments.pop("points_from", None)
        stored = DataStore(self.settings, Reading()).replaced(hypermodels.accepted(arguments))
        sweep_design = design(
            Starting(self.settings, is_scripted=True).of_sweep(stored), points_from
        )
        return self._handle_of(sweep_design, is_scripted=True)

    def untrusted_sweep(self, arguments: Mapping[str, Any], *, points_from: Any = None) -> Sweep:
        """The same for arguments out of a file: only builders of trusted modules are called.

        `points_from` stands beside them, since it is read on the machine that asks.
        """
        stored = DataStore(self.settings, Reading()).replaced(arguments)
        sweep_design = design(Starting(self.settings).of_sweep(stored), points_from)
        return self._handle_of(sweep_design)

    def resume_sweep(self, name: str) -> Sweep:
        """The sweep of that name, from any machine: `.run()` resumes it. NotFoundError.

        Its design comes from the database: a builder's module must be trusted here.
        """
        stored = Design.from_json(find_sweep(self.database, name).document)
        return self._handle_of(stored)

    def sweeps(self) -> list[Sweep]:
        """A handle on each sweep of the fleet, the oldest first."""
        with self.database.read() as c:
            documents = [row.document for row in sweep_table.listed(c)]
        return [self._handle_of(Design.from_json(text)) for text in documents]

    def _handle_of(self, sweep_design: Design, *, is_scripted: bool = False) -> Sweep:
        return Sweep(
            self.database,
            self.settings,
            sweep_design,
            is_scripted=is_scripted,
            on_poll=self._on_poll,
            unserved=self.notices.unserved_once,
        )

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
        return rank_experiment(self.database, experiment, wanted, by=by, where=where, top=top)

    def plot(
        self,
        experiment: str = "default",
        objective: str = "val_loss",
        *,
        direction: str | None = None,
    ) -> Plots:
        """Plots of an experiment, as `Sweep.plot` of a sweep: `.curves("curves.png")`, ..."""
        return experiment_views.plots(
            self.database, self.settings, experiment, objective, direction
        )

    def export(
        self,
        experiment: str = "default",
        objective: str = "val_loss",
        *,
        direction: str | None = None,
    ) -> Exports:
        """An experiment for other tools, as `Sweep.export`: `.to_csv("jobs.csv")`, ..."""
        return experiment_views.exports(
            self.database, self.settings, experiment, objective, direction
        )

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
        """Resume a paused experiment."""
        with self.database.begin() as c:
            experiment_table.resume(c, experiment)
