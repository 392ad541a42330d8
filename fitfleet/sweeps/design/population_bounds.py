"""Bounds of the arguments of a sweep by population-based training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fitfleet.errors import SearchError
from fitfleet.sweeps.bounds import MAX_POINTS
from fitfleet.sweeps.spaces import space

if TYPE_CHECKING:
    from fitfleet.sweeps.design.design import Design

# What its jobs cannot have, and what to do instead.
_REFUSED = {
    "trials": "a population has one trial for each member and generation; leave trials out",
    "repeats": "members continue each other, so that a repeat is a whole population; run the"
    " sweep again with another seed and name",
    "folds": "members continue each other on the same rows; give x_val or validation_split",
    "pruner": "a population replaces its worst members itself; leave the pruner out",
    "objective": "the best members are those of one objective; give one",
    "initial_epoch": "members count their epochs on from those of the members that they continue;"
    " leave it out",
    "adopt": "members pass on their weights, and those of another experiment may have been"
    " removed; leave adopt out",
    "shrink_on_oom": "smaller batches give the optimizer other state than the next members need;"
    " give a smaller batch_size",
}


def of_population(design: Design) -> Design:
    """The design with the number of its trials, and jobs that are bit-equal wherever they run.

    SearchError for what a population cannot have.
    """
    assert design.population is not None
    for name, is_given in _given(design).items():
        if is_given:
            raise SearchError(f"{name}: {_REFUSED[name]}")
    _check_spaces(design)
    size, interval = design.population["population"], design.population["perturbation_interval"]
    if interval >= design.max_epochs:
        raise SearchError(
            f"perturbation_interval: a generation of {interval:,} epochs has no other after it in"
            f" {design.max_epochs:,}; give more epochs, or a smaller interval"
        )
    trials = size * -(-design.max_epochs // interval)
    if trials > MAX_POINTS:
        raise SearchError(f"search: {trials:,} members of all generations exceed {MAX_POINTS:,}")
    # In a stack a last bit may differ, and with it who is the best: which jobs are waiting when a
    # slot is free must not decide that.
    return replace(design, trials=trials, options={"fuse": False, **design.options})


def _given(design: Design) -> dict[str, bool]:
    return {
        "trials": design.trials is not None,
        "repeats": design.max_repeats > 1,
        "folds": design.folds is not None,
        "pruner": design.pruner is not None,
        "objective": len(design.wanted) > 1,
        "initial_epoch": bool(design.job.get("initial_epoch")),
        "adopt": design.is_adopting,
        "shrink_on_oom": bool(design.options.get("shrink_on_oom")),
    }


def _check_spaces(design: Design) -> None:
    for name, parameter in space.parameters(design.job).items():
        if parameter.conditions or parameter.space.when:
            raise SearchError(
                f"search: {name} is a hyperparameter of some members only, which then cannot take"
                " over from the others; with pbt no space may be inside an option of a choice"
            )
        if name in ("seed", "epochs"):
            raise SearchError(
                f"{name}: with pbt it is one number: seeds count up from it by member"
                if name == "seed"
                else f"{name}: with pbt it is one number, of all generations together"
            )
