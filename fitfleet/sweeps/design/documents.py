"""A design on its way to another machine: as arguments that are checked there from the start.

What a design names by a path is read where the sweep is driven, which is not where it was asked
for: files are sent before it, and paths of a machine's own are refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from fitfleet.errors import DatasetError, SearchError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import InitialWeights
from fitfleet.spec.parts.model import model_spec
from fitfleet.sweeps.design.design import Design, design
from fitfleet.sweeps.search import known_points
from fitfleet.sweeps.search.names import PBT
from fitfleet.sweeps.spaces import space
from fitfleet.sweeps.spaces.parameters import MARK

_FILES = (".json", ".yaml", ".yml")
_READ_HERE = ("code", "init_from", "validation_data", "sample_weight")


def sent(sweep_design: Design) -> dict[str, Any]:
    """The arguments of `Fleet.sweep` that give this design again, as JSON, and its points."""
    wanted, population = sweep_design.wanted, sweep_design.population
    repeats: Any = sweep_design.repeats
    if sweep_design.is_racing:
        repeats = f"{sweep_design.repeats}..{sweep_design.max_repeats}"
    arguments = {
        **sweep_design.job,
        **sweep_design.options,
        "name": sweep_design.name,
        "experiment": sweep_design.experiment,
        "search": sweep_design.search if population is None else {"name": PBT, **population},
        "trials": sweep_design.trials if population is None else None,
        "repeats": None if sweep_design.max_repeats == 1 else repeats,
        "folds": sweep_design.folds,
        "objective": [objective.name for objective in wanted],
        "direction": [objective.direction for objective in wanted],
        "at": wanted[0].at,
        "pruner": sweep_design.pruner,
        "max_running": sweep_design.max_running,
        "adopt": sweep_design.is_adopting,
        "budget": sweep_design.budget_s,
    }
    left = {name: value for name, value in arguments.items() if value is not None}
    return {"arguments": left, "imported": [asdict(point) for point in sweep_design.imported]}


def received(arguments: Mapping[str, Any], imported: Any = None) -> Design:
    """The design of what `sent` gave, or anybody has made up.

    SearchError, SpecError or DatasetError for what is wrong, and for what would be read from this
    machine's own files.
    """
    try:
        sweep_design = design(arguments)
        check_paths(sweep_design)
        if imported:
            known = space.parameters(sweep_design.job)
            points = known_points.received(
                imported, known, sweep_design.wanted, sweep_design.search
            )
            return replace(sweep_design, imported=points)
        return sweep_design
    except RecursionError:
        raise SearchError("the sweep is nested too deeply") from None


def check_paths(sweep_design: Design) -> None:
    """Refuse what would be read from files of the machine that drives the sweep."""
    job = sweep_design.job
    for name in _READ_HERE:
        if job.get(name) is not None:
            raise SpecError(name, "the API does not take it in a sweep; connect to the database")
    _map_options(job["model"], _check_model)
    with_paths(job["dataset"], _checked_path)
    start = job.get("initial_weights")
    if start is not None:
        try:
            weights = InitialWeights.model_validate(start)
        except ValueError:
            raise SpecError("initial_weights", f"{start!r:.80} names no weights") from None
        if weights.of_job:
            raise SpecError("initial_weights", "a sweep starts from a file, not from a job")


def with_paths(dataset: Any, change: Callable[[str], str], is_path: bool = False) -> Any:
    """The dataset of a design with each path, in options of spaces too, as `change` gives it."""
    if isinstance(dataset, str):
        return change(dataset)
    if isinstance(dataset, list):
        return [with_paths(part, change, is_path) for part in dataset]
    if not isinstance(dataset, dict):
        return dataset
    if MARK in dataset:
        return {
            name: with_paths(part, change, is_path) if name == "options" else part
            for name, part in dataset.items()
        }
    return {
        name: with_paths(part, change, True) if is_path or name in ("path", "files") else part
        for name, part in dataset.items()
    }


def with_models(model: Any) -> Any:
    """The model of a design, or each option of it, as an object that needs no file."""
    return _map_options(model, _opened)


def _map_options(model: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(model, dict) and model.get(MARK) == "choice":
        return {**model, "options": [_map_options(part, change) for part in model["options"]]}
    return change(model)


def _check_model(model: Any) -> Any:
    if not isinstance(model, dict) or MARK in model:
        raise SpecError("model", "the API takes a config of Keras or a builder, as an object")
    return model


def _opened(model: Any) -> Any:
    if not isinstance(model, str):
        return model
    if model.endswith(_FILES):
        return model_spec(model, Settings())[0].config
    if model.lstrip().startswith("{"):
        return json.loads(model)
    return {"path": model, "arguments": {}}


def _checked_path(path: str) -> str:
    if os.path.isabs(path) or "\0" in path:
        raise DatasetError(
            f"dataset.path: {path!r:.100} is absolute; the API takes a path below the fleet's data"
            " root, or a file that was uploaded"
        )
    return path
