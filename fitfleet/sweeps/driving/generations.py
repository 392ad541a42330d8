"""The generations of population-based training, as trials and jobs.

A trial is a member in a generation; its job continues the job of a member of the generation before
with the weights, the optimizer's state and the epochs of that. Which, and with what, is a function
of the design and of the rows of trials and jobs alone: any driver finds the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fitfleet.analysis.results import Results
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.db.reading import lookup
from fitfleet.db.session import Database
from fitfleet.db.sweeps.lineage import Descent
from fitfleet.db.sweeps.trials import NewTrial
from fitfleet.errors import DatasetError, SearchError, SpecError
from fitfleet.spec.job import InitialWeights, JobSpec
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.driving.points import Points, with_spec
from fitfleet.sweeps.search.population import Member, PopulationBasedTraining, next_generation
from fitfleet.sweeps.search.search import key_of
from fitfleet.sweeps.spaces import space
from fitfleet.sweeps.spaces.space import Point

# Of an optimizer's arguments those with which it has variables more.
_SLOTS = ("momentum", "centered", "amsgrad", "use_ema", "gradient_accumulation_steps")
_MAX_PROBED = 20  # options of one choice


def first_points(design: Design) -> list[Point]:
    """The hyperparameters of the first generation, at random."""
    return space.random(design.job, _options(design).population, design.seed)


def first_row(points: Points, design: Design, point: Point, member: int) -> NewJob:
    """The job of a member in the first generation. SpecError, DatasetError or SearchError."""
    return _row(points, design, point, Descent(0, member))


def check_inheritance(points: Points, design: Design) -> None:
    """SearchError for a hyperparameter by which weights no longer fit those of another member."""
    known = space.parameters(design.job)
    base = space.first(design.job)
    expected = _shape(points, base)
    for name, parameter in known.items():
        options = parameter.space.options[:_MAX_PROBED]
        for value in options or (parameter.space.low, parameter.space.high):
            if parameter.space.kind == "integers":
                value = int(value)
            shape = _shape(points, {**base, name: value})
            if expected is not None and shape is not None and shape != expected:
                raise SearchError(
                    f"search: members of a population pass on weights and optimizer state, and"
                    f" those of {name}={value!r:.40} do not fit those of {name}={base[name]!r:.40};"
                    " give it one value, or search it by a sweep of another kind"
                )


class Generations:
    """Makes one generation after the other."""

    def __init__(self, database: Database, design: Design, points: Points) -> None:
        self._database, self._design, self._points = database, design, points
        self._pbt = _options(design)

    def next(self, results: Results, sweep_id: int) -> list[NewTrial]:
        """The trials that may be written now; [] while a generation is trained, and at the end."""
        count = len(results.rows)
        if count == 0:
            check_inheritance(self._points, self._design)
        if self.is_over(results) or not self._is_trained(results):
            return []
        generation, first = divmod(count, self._pbt.population)
        return list(self._trials(results, sweep_id, generation))[first:]

    def is_over(self, results: Results) -> bool:
        """Whether there is no generation after those that are written."""
        count = len(results.rows)
        if self._design.trials is not None and count >= self._design.trials:
            return True
        is_whole = count > 0 and count % self._pbt.population == 0
        return is_whole and self._is_trained(results) and not any(self._values(results))

    def _is_trained(self, results: Results) -> bool:
        return all(trial.state != "pending" for trial in results.trials())

    def _values(self, results: Results) -> list[Any]:
        return [trial.values for trial in results.trials()[-self._pbt.population :]]

    def _trials(self, results: Results, sweep_id: int, generation: int) -> Iterator[NewTrial]:
        start = generation * self._pbt.population
        for member, (point, descent, parent) in enumerate(self._members(results, generation)):
            refused, rows = None, {}
            try:
                row = _row(self._points, self._design, point, descent, parent)
                rows = {0: dataclasses.replace(row, sweep_id=sweep_id)}
            except (SpecError, DatasetError) as error:
                refused = str(error)
            digest = hashlib.sha256(key_of({**vars(descent), "point": point}).encode()).hexdigest()
            yield NewTrial(start + member, point, digest, (), refused, rows, descent)

    def _members(
        self, results: Results, generation: int
    ) -> Iterable[tuple[Point, Descent, Parent | None]]:
        if generation == 0:
            points = first_points(self._design)
            return [(point, Descent(0, member), None) for member, point in enumerate(points)]
        members = self._past(results, generation - 1)
        successors = next_generation(
            members,
            self._pbt,
            space.parameters(self._design.job),
            sign=1.0 if self._design.wanted[0].direction == "minimize" else -1.0,
            seed=self._design.seed,
            generation=generation,
        )
        jobs = self._jobs(results, [successor.parent.trial for successor in successors])
        return [
            (
                successor.point,
                Descent(generation, member, successor.parent.trial, successor.changes),
                jobs[successor.parent.trial],
            )
            for member, successor in enumerate(successors)
        ]

    def _past(self, results: Results, generation: int) -> list[Member]:
        size = self._pbt.population
        trials = results.trials()[generation * size : (generation + 1) * size]
        return [
            Member(t.number, t.point, t.values[0] if t.state == "complete" else None)
            for t in trials
        ]

    def _jobs(self, results: Results, trials: Sequence[int]) -> dict[int, Parent]:
        ids = {trial: results.replicates[trial][0].job_id for trial in trials}
        with self._database.read() as c:
            rows = {row.id: row for row in lookup.jobs_by_id(c, sorted(set(ids.values())))}
        return {trial: Parent(job_id, rows[job_id].content_hash) for trial, job_id in ids.items()}


@dataclasses.dataclass(frozen=True)
class Parent:
    """The job whose fit another continues."""

    job_id: int
    content_hash: str


def _row(
    points: Points, design: Design, point: Point, descent: Descent, parent: Parent | None = None
) -> NewJob:
    """The job of a member in a generation; it has the member's own seed."""
    (row,) = points.rows(point, [descent.member]).values()
    interval = _options(design).perturbation_interval
    begin = descent.generation * interval
    changes: dict[str, Any] = {"epochs": min(begin + interval, design.max_epochs)}
    if parent is None:
        return with_spec(row, row.spec.model_copy(update=changes))
    changes["initial_weights"] = InitialWeights(
        of_job=parent.content_hash, optimizer=True, initial_epoch=begin
    )
    row = with_spec(row, row.spec.model_copy(update=changes))
    return dataclasses.replace(row, starts_from=parent.job_id)


def _options(design: Design) -> PopulationBasedTraining:
    assert design.population is not None
    return PopulationBasedTraining.of_json(design.population)


def _shape(points: Points, point: Point) -> tuple[Any, ...] | None:
    """What has to be the same for weights to fit; None for a point that is refused anyway."""
    try:
        (row,) = points.rows(point, [0]).values()
    except (SpecError, DatasetError):
        return None
    return (row.parameters, *_slots(row.spec))


def _slots(spec: JobSpec) -> tuple[Any, ...]:
    config = spec.optimizer.get("config", {})
    return (spec.optimizer.get("class_name"), *(bool(config.get(name)) for name in _SLOTS))
