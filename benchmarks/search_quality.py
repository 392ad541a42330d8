"""Whether a sweep finds what plain Optuna finds: same sampler, same seed, same number of trials.

    python benchmarks/search_quality.py [--trials 40]

Every trial is a real job on a real fleet: it fits a tiny network, and an evaluator returns
Branin's function of the searched values. One at a time the points must be Optuna's own, one by
one; four at a time the sampler knows less when it is asked, as Optuna's would, so only the best
value is shown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from _known_functions import branin_value

import fitfleet as ff

_X, _Y = "evaluators.0.x", "evaluators.0.y"
_SEED = 7


def sweep(fleet: ff.Fleet, data: Path, search: str, trials: int, at_once: int) -> ff.Sweep:
    """The sweep of one sampler."""
    layers = ff.layers
    return fleet.sweep(
        model=ff.Sequential([layers.Input((2,)), layers.Dense(1)]),
        dataset=str(data),
        optimizer="sgd",
        loss="mse",
        epochs=1,
        evaluators=[
            {
                "path": "_known_functions:branin",
                "arguments": {"x": ff.uniform(-5, 10), "y": ff.uniform(0, 15)},
            }
        ],
        experiment=f"{search}-{at_once}",
        objective="cost",
        direction="minimize",
        search=search,
        trials=trials,
        max_running=at_once,
        seed=_SEED,
    )


def plain(search: str, trials: int) -> tuple[list[dict[str, float]], float]:
    """(points, best value) of Optuna alone."""
    kinds: dict[str, Any] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=_SEED),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=_SEED, warn_independent_sampling=False),
        "qmc": lambda: optuna.samplers.QMCSampler(
            seed=_SEED,
            scramble=True,
            warn_independent_sampling=False,
            warn_asynchronous_seeding=False,
        ),
    }
    study = optuna.create_study(sampler=kinds[search]())

    def objective(trial: optuna.Trial) -> float:
        return branin_value(trial.suggest_float(_X, -5, 10), trial.suggest_float(_Y, 0, 15))

    study.optimize(objective, n_trials=trials)
    return [dict(trial.params) for trial in study.trials], float(study.best_value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    folder = Path(tempfile.mkdtemp(prefix="fitfleet-search-"))
    data = folder / "data.npz"
    random = np.random.default_rng(0)
    x = random.normal(size=(32, 2)).astype("float32")
    np.savez(data, x_train=x, y_train=x[:, :1], x_test=x[:8], y_test=x[:8, :1])
    different = 0
    print(f"Branin, minimum 0.397887, {options.trials} trials, seed {_SEED}")
    print(
        f"{'sampler':9}{'Optuna':>10}{'fitfleet':>10}{'same points':>13}{'4 at once':>11}{'s':>7}"
    )
    settings: dict[str, Any] = {
        "trusted_modules": ("_known_functions",),
        "module_path": (str(Path(__file__).parent),),
    }
    with ff.local(workers=2, directory=folder / "fleet", **settings) as fleet:
        for search in ("tpe", "cmaes", "qmc"):
            points, best = plain(search, options.trials)
            start = time.perf_counter()
            alone = sweep(fleet, data, search, options.trials, 1).run()
            seconds = time.perf_counter() - start
            trials = alone.trials()
            asked = trials[[_X, _Y]].to_dict("records")
            value = float(trials["cost"].min())
            several = sweep(fleet, data, search, options.trials, 4).run()
            together = float(several.trials()["cost"].min())
            is_same = asked == points and value == best
            different += not is_same
            print(
                f"{search:9}{best:10.5f}{value:10.5f}{'yes' if is_same else 'NO':>13}"
                f"{together:11.5f}{seconds:7.1f}",
                flush=True,
            )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
