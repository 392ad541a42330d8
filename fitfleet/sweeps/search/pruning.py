"""Which jobs of a sweep are not worth continuing, by Optuna's pruners.

Like is compared with like: a job is judged among the jobs of other points that have its seed and
fold, at the same epoch. Each such row of jobs is an Optuna study of its own that follows the
curves as they come. A point of several jobs is pruned when most of those that have started, and
at least two, are to be pruned: one unlucky seed or hard fold condemns nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fitfleet.analysis.optuna_loading import load_optuna, quiet_optuna
from fitfleet.analysis.results import Curve
from fitfleet.analysis.statistics import Direction
from fitfleet.errors import SearchError


class Pruning:
    """Follows the curves of a sweep and says which trials to prune."""

    def __init__(self, pruner: Mapping[str, Any], name: str, direction: Direction, epochs: int):
        self._pruner, self._name, self._direction = pruner, name, direction
        self._epochs = epochs
        make_pruner(pruner, epochs)  # complains at once about a bad option
        self._rows: dict[int, _Row] = {}
        self._votes: dict[int, set[int]] = defaultdict(set)  # trial's number -> replicates

    def to_prune(self, curves: Sequence[Curve]) -> set[int]:
        """Numbers of the trials to prune, given all curves of the sweep so far."""
        if self._pruner["name"] == "wilcoxon":
            return self._outranked(curves)
        by_replicate: dict[int, list[Curve]] = defaultdict(list)
        for curve in curves:
            by_replicate[curve.replicate].append(curve)
        for replicate, curves_of in by_replicate.items():
            for number in self._row(replicate).follow(curves_of):
                self._votes[number].add(replicate)
        return {
            number
            for number, voters in self._votes.items()
            if _is_majority(voters, [c for c in curves if c.number == number])
        }

    def _row(self, replicate: int) -> _Row:
        if replicate not in self._rows:
            study = self._study(f"{self._name}/{replicate}")
            self._rows[replicate] = _Row(study)
        return self._rows[replicate]

    def _study(self, name: str) -> Any:
        with quiet_optuna() as optuna:
            return optuna.create_study(
                study_name=name,  # Hyperband draws the bracket of a trial from this name
                direction=self._direction,
                sampler=optuna.samplers.RandomSampler(seed=0),
                pruner=make_pruner(self._pruner, self._epochs),
            )

    def _outranked(self, curves: Sequence[Curve]) -> set[int]:
        """By Optuna's Wilcoxon pruner: its steps are our replicates, its values their results."""
        study = self._study(self._name)
        done = [c for c in curves if c.is_complete and c.values and math.isfinite(c.final)]
        by_number: dict[int, list[Curve]] = defaultdict(list)
        for curve in done:
            by_number[curve.number].append(curve)
        open_numbers = {c.number for c in curves if c.is_open and not c.is_spared}
        result = set()
        for number in sorted(by_number, key=lambda n: (n in open_numbers, n)):
            trial = study.ask()
            for curve in sorted(by_number[number], key=lambda c: c.replicate):
                trial.report(curve.final, curve.replicate)
            if number in open_numbers:
                if trial.should_prune():
                    result.add(number)
                continue
            finals = [curve.final for curve in by_number[number]]
            mean = math.fsum(finals) / len(finals)
            study.tell(trial, mean)
        return result


class _Row:
    """The jobs of one seed and fold, as one Optuna study."""

    def __init__(self, study: Any) -> None:
        self._study = study
        self._trials: list[Any] = []
        self._reported: dict[int, int] = {}  # trial's number -> its last epoch reported
        self._ended: set[int] = set()
        self._is_rebuilt = True  # the first poll takes in what is past

    def follow(self, curves: Iterable[Curve]) -> set[int]:
        """Take in new epochs in the order they would have come; numbers to prune."""
        known = {curve.number: curve for curve in curves}
        while len(self._trials) <= max(known, default=-1):
            self._trials.append(self._study.ask())
        ended = {n: c for n, c in known.items() if not c.is_open}
        self._report(ended)
        self._conclude(ended)  # first, since the pruners measure by what is complete
        pruned = self._report({n: c for n, c in known.items() if c.is_open})
        self._is_rebuilt = False
        return pruned

    def _report(self, known: Mapping[int, Curve]) -> set[int]:
        fresh = sorted(
            (epoch, number)
            for number, curve in known.items()
            for epoch in curve.values
            if number not in self._ended and epoch > self._reported.get(number, 0)
        )
        pruned = set()
        for epoch, number in fresh:
            curve = known[number]
            self._trials[number].report(curve.values[epoch], epoch)
            self._reported[number] = epoch
            is_judged = self._trials[number].should_prune()
            is_news = not self._is_rebuilt or epoch == max(curve.values)
            is_over = epoch == curve.epochs or not curve.is_open or curve.is_spared
            if is_judged and is_news and not is_over:
                pruned.add(number)
        return pruned

    def _conclude(self, known: Mapping[int, Curve]) -> None:
        optuna = load_optuna()
        for number, curve in known.items():
            if number in self._ended or not curve.values:
                continue
            self._ended.add(number)
            if curve.is_complete and math.isfinite(curve.final):
                self._study.tell(self._trials[number], curve.final)
            else:
                self._study.tell(self._trials[number], state=optuna.trial.TrialState.PRUNED)


def make_pruner(wanted: Mapping[str, Any], epochs: int) -> Any:
    """Optuna's pruner. SearchError for an option it does not take."""
    name = wanted["name"]
    options = {key: value for key, value in wanted.items() if key != "name"}
    with quiet_optuna() as optuna:
        return _pruner(optuna.pruners, name, options, epochs)


def _pruner(pruners: Any, name: str, options: dict[str, Any], epochs: int) -> Any:
    try:
        if name == "median":
            return pruners.MedianPruner(**options)
        if name == "percentile":
            return pruners.PercentilePruner(**{"percentile": 25.0, **options})
        if name == "successive_halving":
            return pruners.SuccessiveHalvingPruner(**{"min_resource": 1, **options})
        if name == "hyperband":
            # It makes these only when it judges, and would complain only then.
            shared = {k: v for k, v in options.items() if k in ("min_resource", "reduction_factor")}
            pruners.SuccessiveHalvingPruner(**shared)
            return pruners.HyperbandPruner(**{"max_resource": epochs, **options})
        return pruners.WilcoxonPruner(**options)
    except (TypeError, ValueError) as error:
        raise SearchError(f"pruner: Optuna's {name} pruner refuses {options}: {error}") from None


def _is_majority(voters: set[int], curves: Sequence[Curve]) -> bool:
    """`curves` are those of all jobs of a point, started or not."""
    started = sum(bool(c.values) for c in curves)
    spared = any(c.is_spared for c in curves)
    return not spared and len(voters) >= min(2, len(curves)) and 2 * len(voters) > started
