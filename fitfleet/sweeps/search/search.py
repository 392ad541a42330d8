"""Asking for points: grid and random by us, the rest by Optuna, from the rows of trials alone.

A search holds no truth. Given the trials that are in the database it rebuilds the study, replays
what the sampler was asked (so that its random numbers stand where they stood), and asks for the
next point. A search that lives on and one that is rebuilt from the same rows ask for the same.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fitfleet.analysis.optuna_loading import quiet_optuna
from fitfleet.analysis.results import Trial
from fitfleet.analysis.statistics import Direction
from fitfleet.errors import MissingExtraError, SearchError
from fitfleet.spec.json_text import canonical_json
from fitfleet.sweeps.search.known_points import Imported
from fitfleet.sweeps.search.names import OPTUNAS, OWN, SEARCHES
from fitfleet.sweeps.spaces import space
from fitfleet.sweeps.spaces.space import Parameter, Point, Space

# A discrete space may be nearly used up; then the sampler repeats itself.
_MAX_DRAWS = 200
_GP_REPLAYED = 60


class Search(Protocol):
    """Asks for points that are in no trial yet."""

    def next(self, trials: Sequence[Trial]) -> Point | None:
        """The next point given all trials so far, by number; None when there is none left."""


def make_search(
    name: str,
    document: Any,
    *,
    trials: int | None,
    seed: int,
    directions: Sequence[Direction],
    imported: Sequence[Imported] = (),
) -> Search:
    """The search of that name over the spaces of a document. SearchError, MissingExtraError.

    One that learns knows the values of `imported` from the start.
    """
    known = space.parameters(document)
    if not known:
        raise SearchError(
            "the sweep has no search space; put ff.choice, ff.uniform, ff.log_uniform or"
            " ff.integers where a value is to be searched"
        )
    if name == "grid":
        return Listed(space.grid(document, trials))
    if name not in (*OWN, *OPTUNAS):
        raise SearchError(f"search: {name!r} is not one of {', '.join(SEARCHES)}")
    if trials is None:
        raise SearchError(f"trials: search={name!r} needs to know how many points to try")
    if name == "random":
        return Listed(_distinct(document, trials, seed))
    learnt = [point for point in imported if point.unused is None]
    return OptunaSearch(name, known, seed=seed, directions=directions, imported=learnt)


def key_of(point: Mapping[str, Any]) -> str:
    """The same text for the same point."""
    return canonical_json(point)


class Listed:
    """Points that are known from the start, in their order."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = list({key_of(point): point for point in points}.values())

    def next(self, trials: Sequence[Trial]) -> Point | None:
        """The first point that no trial has."""
        taken = {key_of(trial.point) for trial in trials}
        return next((point for point in self.points if key_of(point) not in taken), None)


def _distinct(document: Any, count: int, seed: int) -> list[Point]:
    """`count` different points at random, or as many as a discrete space has."""
    drawn = space.random(document, count * 4 + _MAX_DRAWS, seed)
    points = {key_of(point): point for point in drawn}
    return list(itertools.islice(points.values(), count))


class OptunaSearch:
    """A study in memory that follows the trials of the database."""

    def __init__(
        self,
        name: str,
        known: Mapping[str, Parameter],
        *,
        seed: int,
        directions: Sequence[str],
        imported: Sequence[Imported] = (),
    ) -> None:
        self._name, self._seed, self._known = name, seed, known
        self._codes = {key: _Code(parameter.space) for key, parameter in known.items()}
        with quiet_optuna() as optuna:
            _check_parts(name)
            self._distributions = {k: code.distribution(optuna) for k, code in self._codes.items()}
            self._study = optuna.create_study(
                directions=list(directions), sampler=_sampler(optuna, name, seed)
            )
            for point in imported:
                self._study.add_trial(self._measured(optuna, point))
        self._bound: dict[int, Any] = {}  # trial's number -> Optuna's trial
        self._told: set[int] = set()
        self._open: tuple[Any, Point] | None = None  # asked, but not yet seen as a row
        self._taken: set[str] = set()

    def _measured(self, optuna: Any, imported: Imported) -> Any:
        """A finished trial of the study. What is no parameter of it here was left out before."""
        return optuna.trial.create_trial(
            params={k: self._codes[k].encode(v) for k, v in imported.point.items()},
            distributions={k: self._distributions[k] for k in imported.point},
            values=list(imported.values),
        )

    def next(self, trials: Sequence[Trial]) -> Point | None:
        """The next point given all trials so far; None when the sampler only repeats itself."""
        with quiet_optuna() as optuna:
            by_number = {trial.number: trial for trial in trials}
            for number in sorted(set(by_number) - set(self._bound)):
                self._follow(optuna, by_number, by_number[number])
            self._tell(optuna, by_number.values())
            if self._open is None:
                self._open = self._suggest(optuna, by_number)
            return None if self._open is None else dict(self._open[1])

    def _follow(self, optuna: Any, by_number: Mapping[int, Trial], trial: Trial) -> None:
        """Take in a row: our own question, the same asked again, or another driver's."""
        known = [t for n, t in by_number.items() if n < trial.number and n not in trial.pending]
        if self._open is None and not self._is_beyond_replay(trial.number):
            self._tell(optuna, known)
            self._open = self._suggest(optuna, by_number)
        if self._open is not None and key_of(self._open[1]) == key_of(trial.point):
            bound = self._open[0]
            self._open = None
        else:
            # Not what this sampler would ask; its own question stays for another time.
            self._study.enqueue_trial({k: self._codes[k].encode(v) for k, v in trial.point.items()})
            bound, _ = self._new_trial()
        self._bound[trial.number] = bound
        self._taken.add(key_of(trial.point))

    def _suggest(self, optuna: Any, by_number: Mapping[int, Trial]) -> tuple[Any, Point] | None:
        if self._is_beyond_replay(len(self._bound)):
            self._study.sampler = _sampler(optuna, "gp", self._seed + len(self._bound))
        for _ in range(_MAX_DRAWS):
            trial, point = self._new_trial()
            if key_of(point) not in self._taken:
                return trial, point
            self._answer_twin(optuna, trial, point, by_number)
        return None

    def _new_trial(self) -> tuple[Any, Point]:
        """A trial of the study, asked for what is a parameter of it, and its point."""
        trial = self._study.ask()

        def value(name: str, _: Space) -> Any:
            code = self._codes[name]
            return code.decode(code.suggest(trial, name, self._distributions[name]))

        return trial, space.filled(self._known, value)

    def _is_beyond_replay(self, number: int) -> bool:
        """A Gaussian process takes its time for each question: a long past is not asked again."""
        return self._name == "gp" and number >= _GP_REPLAYED

    def _answer_twin(
        self, optuna: Any, trial: Any, point: Point, by_number: Mapping[int, Trial]
    ) -> None:
        """A point that was asked before gets the value that is known, so that it is left alone."""
        twin = next((t for t in by_number.values() if key_of(t.point) == key_of(point)), None)
        if twin is not None and twin.number in self._told and twin.state == "complete":
            self._study.tell(trial, list(twin.values))
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _tell(self, optuna: Any, trials: Any) -> None:
        for trial in sorted(trials, key=lambda t: t.number):
            if trial.state == "pending" or trial.number in self._told:
                continue
            if trial.number not in self._bound:
                continue
            self._told.add(trial.number)
            self._answer(optuna, self._bound[trial.number], trial)

    def _answer(self, optuna: Any, bound: Any, trial: Trial) -> None:
        if trial.state == "complete":
            self._study.tell(bound, list(trial.values))
        elif trial.state == "pruned" and trial.curve:
            for epoch, value in sorted(trial.curve.items()):
                bound.report(value, epoch)
            self._study.tell(bound, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(bound, state=optuna.trial.TrialState.FAIL)


class _Code:
    """A space as an Optuna distribution, values in and out."""

    def __init__(self, space: Space) -> None:
        self._space = space
        plain = all(o is None or isinstance(o, bool | int | float | str) for o in space.options)
        # Optuna takes plain categories only; a list or an object travels as its index.
        self._by_index = space.kind == "choice" and not plain

    def distribution(self, optuna: Any) -> Any:
        kinds = optuna.distributions
        space = self._space
        if space.kind == "choice":
            options = range(len(space.options)) if self._by_index else space.options
            return kinds.CategoricalDistribution(list(options))
        if space.kind == "integers":
            low, high = int(space.low), int(space.high)
            high -= (high - low) % space.step  # as Optuna would, which warns of it
            return kinds.IntDistribution(low, high, log=space.is_log, step=space.step)
        return kinds.FloatDistribution(space.low, space.high, log=space.kind == "log_uniform")

    def suggest(self, trial: Any, name: str, distribution: Any) -> Any:
        """What the sampler says, by the method of Optuna's for this kind."""
        if self._space.kind == "choice":
            return trial.suggest_categorical(name, distribution.choices)
        bounds = (name, distribution.low, distribution.high)
        if self._space.kind == "integers":
            return trial.suggest_int(*bounds, step=distribution.step, log=distribution.log)
        return trial.suggest_float(*bounds, log=distribution.log)

    def encode(self, value: Any) -> Any:
        return (
            list(self._space.options).index(value)
            if self._by_index
            else self._space.mirrored(value)
        )

    def decode(self, value: Any) -> Any:
        return self._space.options[value] if self._by_index else self._space.mirrored(value)


def _check_parts(name: str) -> None:
    needed = {"gp": ("torch", "gp"), "cmaes": ("cmaes", "search")}.get(name)
    if needed is not None and importlib.util.find_spec(needed[0]) is None:
        raise MissingExtraError(*needed)


def _sampler(optuna: Any, name: str, seed: int) -> Any:
    kinds = optuna.samplers
    if name == "tpe":
        return kinds.TPESampler(seed=seed)
    if name == "gp":
        return kinds.GPSampler(seed=seed, warn_independent_sampling=False)
    if name == "cmaes":
        return kinds.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    return kinds.QMCSampler(
        seed=seed,
        scramble=True,
        warn_independent_sampling=False,
        warn_asynchronous_seeding=False,
    )
