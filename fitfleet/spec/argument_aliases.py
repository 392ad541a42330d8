"""Names that Optuna, KerasTuner and Ray have for the arguments of a sweep."""

from __future__ import annotations

_OURS = {
    **dict.fromkeys(("n_trials", "max_trials", "num_samples", "num_trials", "n_iter"), "trials"),
    **dict.fromkeys(("sampler", "tuner", "search_alg", "strategy", "method"), "search"),
    **dict.fromkeys(("executions_per_trial", "n_repeats", "num_repeats"), "repeats"),
    **dict.fromkeys(("cv", "n_splits", "n_folds", "kfold"), "folds"),
    **dict.fromkeys(("mode", "directions"), "direction"),
    **dict.fromkeys(("metric", "monitor", "objectives"), "objective"),
    **dict.fromkeys(("scheduler", "pruners"), "pruner"),
    **dict.fromkeys(("n_jobs", "max_concurrent_trials", "max_concurrent"), "max_running"),
    **dict.fromkeys(("study_name", "project_name"), "name"),
    "hypermodel": "model",
    **dict.fromkeys(("config", "param_space", "hyperparameters", "param_grid"), ""),
}


def hint(name: str) -> str:
    """What to write instead, after a semicolon; empty for a name that none of them has."""
    if name not in _OURS:
        return ""
    ours = _OURS[name]
    return f"; it is called {ours} here" if ours else "; a search space replaces the value itself"


def of_a_job(name: str) -> str | None:
    """The hint for an argument of a sweep that was given to a job; None for other names."""
    ours = _OURS.get(name)
    if ours is None or ours == "name":
        return None
    explanation = (
        f"it is called {ours} there" if ours else "a search space replaces the value itself"
    )
    return f"belongs to a sweep; {explanation}: docs/how-to/sweeps.md"
