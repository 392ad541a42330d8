"""The objectives of a sweep: one or several named values, each with a direction."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fitfleet.analysis.direction import direction_of
from fitfleet.analysis.statistics import Direction
from fitfleet.errors import FitfleetError, SearchError
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.metric_directions import named_metrics
from fitfleet.spec.keras_objects.output_forms import names_of_a_list

At = Literal["last", "best"]

# Of the job itself rather than of its fit.
_OF_THE_JOB = ("seconds", "parameters")


@dataclass(frozen=True)
class Objective:
    """`val_loss`, `test_accuracy`, an evaluator's score, `seconds` or `parameters`.

    A metric counts as it is at the epoch whose weights are kept, the last one unless
    `restore_best_weights` put an earlier one's back, or (`at="best"`) at its best epoch.
    """

    name: str
    direction: Direction
    at: At = "last"

    @property
    def metric(self) -> str:
        """Keras's name without val_."""
        return self.name.removeprefix("val_")

    @property
    def is_after_the_fit(self) -> bool:
        """Whether no epoch has a value of it."""
        return self.name in _OF_THE_JOB or self.name.startswith("test_")

    @property
    def phase(self) -> str:
        return "val" if self.name.startswith("val_") else "train"


Specs = Iterable[Mapping[str, Any]]


def objectives(
    names: Any, directions: Any, at: Any, specs_of: Callable[[str], Specs] = lambda _: ()
) -> tuple[Objective, ...]:
    """From the arguments of a sweep: one name or several, each with its direction if it needs one.

    `specs_of` gives what the jobs that record a name are compiled with; it is asked for names
    without a direction. SearchError for a direction misspelt or missing, or for another number of
    directions than of names.
    """
    listed = list(names) if isinstance(names, list | tuple) else [names]
    if not listed or not all(isinstance(n, str) and n and n.isprintable() for n in listed):
        raise SearchError(
            f"objective: {names!r:.60} is not the name of a metric such as 'val_loss'"
        )
    are_several = isinstance(directions, list | tuple)
    each = list(directions) if are_several else [directions] * len(listed)
    if len(each) != len(listed):
        raise SearchError(f"direction: {len(each)} directions for {len(listed)} objectives")
    if at not in ("last", "best"):
        raise SearchError(f"at: {at!r:.40} is neither 'last' nor 'best'")
    return tuple(
        Objective(n, _direction(n, w, specs_of), at) for n, w in zip(listed, each, strict=True)
    )


def _direction(name: str, stated: Any, specs_of: Callable[[str], Specs]) -> Direction:
    if stated is None and name in _OF_THE_JOB:
        return "minimize"
    try:
        return direction_of(name, stated, specs_of(name) if stated is None else ())
    except FitfleetError as error:
        if stated is not None:
            near = difflib.get_close_matches(str(stated), ("minimize", "maximize"), n=1, cutoff=0.4)
        else:  # the name may be wrong rather than unknown
            near = difflib.get_close_matches(name, _names(specs_of(name)), n=1, cutoff=0.75)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SearchError(f"{error}{hint}") from None


def _names(specs: Specs) -> list[str]:
    """Names of losses and metrics that jobs so compiled record, with and without val_."""
    parts = [spec.get(part) for spec in specs for part in ("metrics", "weighted_metrics")]
    names = ["loss", *(metric.name for part in parts for metric in named_metrics(part))]
    return [*names, *(f"val_{name}" for name in names)]


def check_known(wanted: Sequence[Objective], spec: JobSpec, *, has_validation: bool) -> None:
    """SearchError for an objective that no fit of this spec records; lists those that are.

    Scores of evaluators have names that only they know, so with evaluators any name may come.
    """
    known = known_names(spec, has_validation=has_validation)
    for objective in wanted:
        first = re.sub(r"\.\d+$", ".0", objective.name)  # any class or threshold of a metric
        if objective.name in known or first in known or spec.evaluators:
            continue
        if objective.name.startswith("val_") and objective.metric in known and not has_validation:
            raise SearchError(
                f"objective: {objective.name} needs validation data; give the dataset x_val and"
                " y_val, or use validation_split or folds"
            )
        near = difflib.get_close_matches(objective.name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SearchError(
            f"objective: no fit here records {objective.name}; {hint}there are {', '.join(known)}"
        )


def known_names(spec: JobSpec, *, has_validation: bool) -> list[str]:
    """Names that a fit of this spec records, as far as they follow from the spec.

    Of a metric with several values only the first is named.
    """
    names = ["loss", *_output_losses(spec)]
    for part in (spec.metrics, spec.weighted_metrics):
        names += _metric_names(part)
    names = list(dict.fromkeys(names))
    if has_validation:
        names += [f"val_{name}" for name in names]
    if spec.dataset.x_test:
        names += [f"test_{name}" for name in names if not name.startswith("val_")]
    return [*names, *_OF_THE_JOB]


def _output_losses(spec: JobSpec) -> list[str]:
    """Keras names the losses by their outputs, where several have one."""
    ends = ((spec.model.config or {}).get("config") or {}).get("output_layers")
    outputs = list(ends) if isinstance(ends, dict) else names_of_a_list(spec.model.config)
    loss: Any = spec.loss
    if isinstance(loss, list):
        loss = dict(zip(outputs, loss, strict=False))
    elif not isinstance(loss, dict) or "class_name" in loss:
        loss = dict.fromkeys(outputs, loss)
    names = [f"{output}_loss" for output, part in loss.items() if part is not None]
    return names if len(names) > 1 else []


def _metric_names(metrics: Any, prefix: str = "") -> list[str]:
    if metrics is None:
        return []
    if isinstance(metrics, str) or (isinstance(metrics, Mapping) and "class_name" in metrics):
        (metric,) = named_metrics(metrics)
        return [f"{prefix}{metric.name}{'.0' if metric.has_several_values else ''}"]
    if isinstance(metrics, list | tuple):
        return [name for metric in metrics for name in _metric_names(metric, prefix)]
    if not isinstance(metrics, Mapping):
        return []
    return [
        name
        for output, part in metrics.items()
        for name in [*_metric_names(part, f"{output}_"), *_metric_names(part)]
    ]
