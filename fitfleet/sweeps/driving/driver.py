"""Driving a sweep: take points from the search, write their jobs, prune, race, and close it.

A driver holds nothing that the database does not. It may die at any time; another one, on any
machine, continues. Several may drive one sweep: a trial's number and point are taken once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from fitfleet.analysis.results import Results, state_of
from fitfleet.db.fleet import capacity
from fitfleet.db.session import Database
from fitfleet.db.sweeps import budgets
from fitfleet.db.sweeps import trials as table
from fitfleet.db.sweeps.sweeps import SweepRow
from fitfleet.db.sweeps.trials import NewTrial
from fitfleet.errors import DatasetError, FitfleetError, SearchError, SpecError
from fitfleet.settings import Settings
from fitfleet.sweeps.design.design import Design, point_hash
from fitfleet.sweeps.driving.generations import Generations
from fitfleet.sweeps.driving.points import Points
from fitfleet.sweeps.driving.progress import Progress as Progress
from fitfleet.sweeps.driving.sweep_rows import close_sweep
from fitfleet.sweeps.search.pruning import Pruning
from fitfleet.sweeps.search.racing import next_repeats
from fitfleet.sweeps.search.search import Listed, Search, key_of, make_search
from fitfleet.sweeps.spaces.space import Point

# Points written in one step, so that a driver of a large grid looks up now and then.
_BATCH = 200
# Most jobs of a step, so that steps of a sweep with many repeats are short as well.
_BATCH_JOBS = 5_000
# This many rejected points without a good one are no coincidence.
_MAX_REJECTED = 10


class Driver:
    """Brings one sweep forward, a step at a time.

    `is_scripted`: this program asked for the sweep itself, so its builder is called here; without
    it only builders of trusted modules are.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        row: SweepRow,
        *,
        is_scripted: bool = False,
    ) -> None:
        self.design = design = Design.from_json(row.document)
        self._database, self._settings, self._row = database, settings, row
        self._points = Points(design, settings, is_scripted=is_scripted)
        self.results = Results(design.wanted)
        self._search: Search | None = None
        self._generations: Generations | None = None
        if design.population is None:
            self._search = make_search(
                design.search,
                design.job,
                trials=design.trials,
                seed=design.seed,
                directions=[objective.direction for objective in design.wanted],
                imported=design.imported,
            )
        else:
            self._generations = Generations(database, design, self._points)
        self._pruning: Pruning | None = None
        self._is_exhausted = False
        self._is_spent = design.budget_s is not None and row.ended_at is not None

    @property
    def warnings(self) -> list[str]:
        """What the user should hear of the jobs made so far."""
        return self._points.warnings

    @property
    def queues(self) -> set[str]:
        """The queues of the jobs made so far."""
        return self._points.queues

    @property
    def is_listed(self) -> bool:
        """Whether all points are known from the start, so that all can be queued at once."""
        return isinstance(self._search, Listed)

    def has_all_points(self, progress: Progress) -> bool:
        """Whether every point has been asked for."""
        return self._has_all_points(progress.trials)

    def job_ids(self) -> list[int]:
        """The jobs of the sweep, as of the last poll."""
        return [m.job_id for replicates in self.results.replicates.values() for m in replicates]

    def step(self) -> Progress:
        """Do what there is to do now, and return the progress of the sweep. Any number of times."""
        self._end_if_spent()
        self.results.read(self._database, self._row.id)
        is_pruned = self._prune()
        is_extended = self._suggest()
        is_raced = not is_extended and self._race()
        if is_pruned or is_extended or is_raced:
            self.results.read(self._database, self._row.id)
        progress = self.progress()
        if progress.is_done:
            close_sweep(self._database, self._row)
        return progress

    def _end_if_spent(self) -> None:
        """When its budget is spent no point is taken, and running jobs end with their epoch."""
        if self.design.budget_s is None:
            return
        with self._database.begin() as c:
            self._is_spent = budgets.settle(c, self._row.id)

    def progress(self) -> Progress:
        """The progress of the sweep, as of the last poll."""
        states = [trial.state for trial in self.results.trials()]
        return Progress(
            trials=len(states),
            trials_wanted=self.design.trials if self.design.search != "grid" else None,
            complete=states.count("complete"),
            pruned=states.count("pruned"),
            failed=states.count("failed"),
            refused=states.count("refused"),
            jobs_open=self.results.unfinished(),
            is_done=self._has_all_points(len(states))
            and "pending" not in states
            and not self._next_race(),
        )

    def _has_all_points(self, count: int) -> bool:
        if self._is_spent or (
            isinstance(self._search, Listed) and count >= len(self._search.points)
        ):
            return True
        if self._generations is not None and self._generations.is_over(self.results):
            return True
        return self._is_exhausted or self._has_enough(count)

    def _has_enough(self, count: int) -> bool:
        return self.design.trials is not None and count >= self.design.trials

    def _suggest(self) -> bool:
        """Take as many points as workers can use; whether there was any."""
        if self._is_spent or self._is_exhausted or self._has_enough(len(self.results.rows)):
            return False
        if isinstance(self._search, Listed):
            return self._suggest_listed(self._search)
        if self._generations is not None:
            return self._write(self._generations.next(self.results, self._row.id)) > 0
        assert self._search is not None
        taken = 0
        while self.results.unfinished() < self._jobs_at_once():
            if self._has_enough(len(self.results.rows)):
                break
            point = self._search.next(self.results.trials())
            if point is None:
                self._is_exhausted = True
                break
            taken += self._take([point])
            self.results.read(self._database, self._row.id)
        return taken > 0

    def _suggest_listed(self, search: Listed) -> bool:
        taken = {key_of(trial.point) for trial in self.results.rows}
        left = [point for point in search.points if key_of(point) not in taken]
        if self.design.trials is not None:
            left = left[: self.design.trials - len(taken)]
        batch = left[: max(1, min(_BATCH, _BATCH_JOBS // self.design.replicates))]
        self._is_exhausted = len(batch) == len(left)
        try:
            if batch and self._take(batch) < len(batch):
                self._is_exhausted = False
        except FitfleetError:  # such as a database that is away: they are asked for again
            self._is_exhausted = False
            raise
        return bool(left)

    def _jobs_at_once(self) -> int:
        """Jobs that keep every worker busy, and few more: later points learn from more results."""
        with self._database.read() as c:
            slots = capacity.count_live_slots(c, self._settings.lease_s)
        limit = self.design.max_running
        return max(1, slots + math.ceil(slots / 4)) if limit is None else limit

    def _take(self, points: Sequence[Point]) -> int:
        """Write trials and their jobs; how many, fewer if another driver was quicker."""
        first = len(self.results.rows)
        pending = [t.number for t in self.results.trials() if t.state == "pending"]
        new_trials = []
        for number, point in enumerate(points, first):
            new_trials.append(self._new_trial(number, point, pending))
            pending.append(number)
        return self._write(new_trials)

    def _write(self, new_trials: Sequence[NewTrial]) -> int:
        taken = 0
        with self._database.begin() as c:
            for trial in new_trials:
                if not table.take(c, self._row.id, trial, is_adopting=self.design.is_adopting):
                    break
                taken += 1
        self._check_refused(new_trials)
        return taken

    def _new_trial(self, number: int, point: Point, pending: Sequence[int]) -> NewTrial:
        refused, rows = None, {}
        try:
            rows = self._points.rows(point, range(self.design.replicates), self._row.id)
        except (SpecError, DatasetError) as error:
            refused = str(error)
        return NewTrial(number, point, point_hash(point), tuple(pending), refused, rows)

    def _check_refused(self, new_trials: Sequence[NewTrial]) -> None:
        """Raise when the first points are all rejected: then the sweep itself is wrong."""
        known = [row.refused for row in self.results.rows] + [trial.refused for trial in new_trials]
        is_all = len(known) >= _MAX_REJECTED or self._has_enough(len(known)) or self._is_exhausted
        is_all |= self._generations is not None
        if known and is_all and all(reason is not None for reason in known):
            raise SearchError(f"all of the {len(known)} points tried are refused: {known[0]}")

    def _prune(self) -> bool:
        """Prune the trials that the pruner names; whether any was open."""
        pruner = self.design.pruner
        if pruner is None:
            return False
        if self._pruning is None:
            self._pruning = Pruning(
                pruner, self.design.name, self.design.wanted[0].direction, self.design.max_epochs
            )
        is_pruned = False
        known = {row.number for row in self.results.rows if row.pruned is not None}
        for number in self._pruning.to_prune(self.results.for_pruning()) - known:
            if self._is_open(number):
                with self._database.begin() as c:
                    why = f"{pruner['name']} pruner"
                    is_pruned |= table.prune(c, self._row.id, number, why)
        return is_pruned

    def _is_open(self, number: int) -> bool:
        row = next(row for row in self.results.rows if row.number == number)
        return state_of(row, self.results.replicates.get(number, [])) == "pending"

    def _race(self) -> bool:
        """Give more repeats to the points that may still win; whether there was one."""
        wanted = self._next_race()
        for number, repeats in wanted.items():
            point = next(row.point for row in self.results.rows if row.number == number)
            have, folds = len(self.results.replicates[number]), self.design.fold_count
            rows = self._points.rows(point, range(have, repeats * folds), self._row.id)
            with self._database.begin() as c:
                table.add_replicates(
                    c, self._row.id, number, rows, is_adopting=self.design.is_adopting
                )
        return bool(wanted)

    def _next_race(self) -> dict[int, int]:
        if self._is_spent or not self.design.is_racing or self.results.unfinished():
            return {}
        values: dict[int, dict[Hashable, float]] = {}
        for trial in self.results.trials():
            if trial.state == "complete":
                replicates = self.results.replicates[trial.number]
                values[trial.number] = {
                    m.replicate: self.results.values[m.job_id][0] for m in replicates
                }
        repeats = {
            number: len(of_trial) // self.design.fold_count for number, of_trial in values.items()
        }
        return next_repeats(
            values, repeats, self.design.max_repeats, self.design.wanted[0].direction
        )
