"""How much each parameter matters, by Optuna."""

from __future__ import annotations

from fitfleet.analysis.objective import Objective
from fitfleet.analysis.optuna_loading import quiet_optuna
from fitfleet.analysis.results import Results
from fitfleet.errors import MissingExtraError

_SEED = 0


def importances(results: Results, wanted: Objective) -> dict[str, float]:
    """Parameter -> its share in the variation of the objective, by fANOVA; the shares add up to 1.

    Of parameters that only some options of a choice have there is none. Empty with fewer than two
    complete trials. MissingExtraError without Optuna and scikit-learn.
    """
    position = list(results.wanted).index(wanted)
    done = [t for t in results.trials() if t.state == "complete"]
    if len(done) < 2:
        return {}
    with quiet_optuna() as optuna:
        try:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
        except ImportError:
            raise MissingExtraError("scikit-learn", "search") from None
        study = optuna.create_study(direction=wanted.direction)
        distributions = _distributions(optuna, [trial.point for trial in done])
        for trial in done:
            study.add_trial(
                optuna.trial.create_trial(
                    value=trial.values[position],
                    params={key: _plain(value) for key, value in trial.point.items()},
                    distributions={key: distributions[key] for key in trial.point},
                )
            )
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _distributions(optuna: object, points: list[dict[str, object]]) -> dict[str, object]:
    """What the points cover; the shares are about what was tried."""
    distributions: dict[str, object] = {}
    kinds = optuna.distributions  # type: ignore[attr-defined]
    for name in dict.fromkeys(name for point in points for name in point):
        values = [_plain(point[name]) for point in points if name in point]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(values) or min(numbers) == max(numbers):
            distributions[name] = kinds.CategoricalDistribution(list(dict.fromkeys(values)))
        elif all(isinstance(v, int) for v in numbers):
            distributions[name] = kinds.IntDistribution(min(numbers), max(numbers))
        else:
            is_log = min(numbers) > 0 and max(numbers) / min(numbers) > 50
            distributions[name] = kinds.FloatDistribution(min(numbers), max(numbers), log=is_log)
    return distributions
