"""The design of a sweep: what is searched, how often each point is run, and what is wanted.

It is a JSON document in the table `sweeps`; any machine that reads it resumes the sweep.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from fitfleet.analysis.objective import At, Objective, objectives
from fitfleet.errors import SearchError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.argument_aliases import hint
from fitfleet.spec.code.collect import paths_of
from fitfleet.spec.code.names import named_in
from fitfleet.spec.job import Builder, DatasetSpec, JobOptions
from fitfleet.spec.keras_objects.custom_objects import check_reachable
from fitfleet.spec.keras_objects.object_documents import to_document
from fitfleet.spec.parts import compile as compile_parts
from fitfleet.spec.parts.callbacks import callbacks
from fitfleet.spec.parts.model import builder_of, model_spec
from fitfleet.spec.submission import SPEC_NAMES, job_options
from fitfleet.sweeps.bounds import (
    budget_of,
    check_positive,
    check_seed,
    folds_of,
    name_of,
    pruner_of,
    repeats_of,
)
from fitfleet.sweeps.design.population_bounds import of_population
from fitfleet.sweeps.search.known_points import Imported, imported
from fitfleet.sweeps.search.names import OPTUNAS, SEARCHES
from fitfleet.sweeps.search.population import search_of
from fitfleet.sweeps.search.search import key_of
from fitfleet.sweeps.spaces import space
from fitfleet.sweeps.spaces.builders import builder, is_builder, names_builder
from fitfleet.sweeps.spaces.space import Point

MAX_REPLICATES = 1_000  # jobs of one point
_OPTION_NAMES = frozenset(JobOptions.model_fields) - {"experiment", "params"}


@dataclass(frozen=True)
class Design:
    """The arguments of a sweep, checked. Made by `design`, stored by `to_json`."""

    name: str
    experiment: str
    job: dict[str, Any]  # arguments of Fleet.submit, spaces in their JSON form
    options: dict[str, Any]  # of JobOptions
    search: str
    trials: int | None
    seed: int
    repeats: int  # of every point
    max_repeats: int  # of a point that may still win
    folds: dict[str, Any] | None  # {"kind": ..., "k": ...}
    wanted: tuple[Objective, ...]
    pruner: dict[str, Any] | None  # {"name": ..., options of Optuna's pruner}
    max_running: int | None
    is_adopting: bool  # take over what another experiment has computed
    imported: tuple[Imported, ...] = ()  # what another program has measured
    budget_s: float | None = None  # from the moment it is written down; None: as long as it takes
    population: dict[str, Any] | None = None  # arguments of `pbt`, with search "pbt"

    @property
    def fold_count(self) -> int:
        """Jobs of one repeat."""
        return 1 if self.folds is None else int(self.folds["k"])

    @property
    def has_builder(self) -> bool:
        """Whether the model of some point is, or may be, made by a function of the user."""
        return names_builder(self.job["model"])

    @property
    def has_own_code(self) -> bool:
        """Whether its jobs run functions or classes of the user; its script has their source."""
        job = self.job
        return bool(job.get("evaluators") or job.get("code")) or any(named_in(job))

    @property
    def needs_optuna(self) -> bool:
        return self.search in OPTUNAS or self.pruner is not None

    @property
    def is_racing(self) -> bool:
        """Whether good points get more repeats than the others."""
        return self.max_repeats > self.repeats

    @property
    def max_epochs(self) -> int:
        """The epochs of the longest fit that a point may have."""
        epochs = self.job.get("epochs", 1)
        searched = space.from_space(epochs)
        if searched is not None and searched.kind != "choice":
            return int(searched.high)
        options = [epochs] if searched is None else searched.options
        for value in options:
            if isinstance(value, bool) or not isinstance(value, int):
                raise SpecError("epochs", f"{value!r} is not a number of epochs")
        return int(max(options))

    @property
    def replicates(self) -> int:
        """Jobs that every point gets."""
        return self.repeats * self.fold_count

    def job_of(self, point: Point) -> dict[str, Any]:
        """Arguments of `Fleet.submit` for the first job of a point, without its fold."""
        document: dict[str, Any] = space.substitute(self.job, point)
        if is_builder(document["model"]):
            document["model"] = builder(document["model"])
        document.setdefault("seed", self.seed)
        return {**document, **self.options, "experiment": self.experiment, "params": dict(point)}

    def to_json(self) -> str:
        """The document of the table `sweeps`."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields["wanted"] = [vars(objective) for objective in self.wanted]
        fields["imported"] = [vars(point) for point in self.imported]
        for name in ("imported", "population"):
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Design:
        """The design that `to_json` wrote."""
        fields = json.loads(text)
        fields["wanted"] = tuple(Objective(**objective) for objective in fields["wanted"])
        fields["imported"] = tuple(map(Imported.of_json, fields.get("imported", ())))
        return cls(**fields)


def design(arguments: Mapping[str, Any], points_from: Any = None) -> Design:
    """A design from the arguments of `Fleet.sweep`. SearchError or SpecError says what is wrong."""
    try:
        design = _design(arguments)
        if points_from is None:
            return design
        points = imported(points_from, space.parameters(design.job), design.wanted, design.search)
        return replace(design, imported=points)
    except RecursionError:
        raise SearchError("the sweep is nested too deeply, or holds itself") from None


def _design(arguments: Mapping[str, Any]) -> Design:
    fields = dict(arguments)
    experiment = name_of("experiment", fields.pop("experiment", "default"))
    at: At = fields.pop("at", "last")
    objective, direction = fields.pop("objective", "val_loss"), fields.pop("direction", None)
    of_sweep = {name: fields.pop(name, None) for name in ("search", "trials", "repeats", "folds")}
    name = name_of("name", fields.pop("name", None) or experiment)
    pruner = fields.pop("pruner", None)
    is_adopting = fields.pop("adopt", False)
    if not isinstance(is_adopting, bool):
        raise SearchError(f"adopt: {is_adopting!r} is neither true nor false")
    budget_s = budget_of(fields.pop("budget", None))
    max_running, seed = fields.pop("max_running", None), fields.get("seed", 0)
    options = {k: fields.pop(k) for k in list(fields) if k in _OPTION_NAMES}
    job_options(Settings(), **options)  # says what is wrong with them
    _check_names(fields)
    job = to_document(space.plain({k: _opened(v, k) for k, v in fields.items()}), "")
    spaces = space.find(job)
    wanted = objectives(objective, direction, at, lambda _: [_compiled(job)])
    min_repeats, max_repeats = repeats_of(of_sweep["repeats"])
    check_seed(seed, spaces, max_repeats)
    search, population = search_of(of_sweep["search"])
    if of_sweep["trials"] is not None:
        check_positive("trials", of_sweep["trials"])
    if max_running is not None:
        check_positive("max_running", max_running)
    design = Design(
        name=name,
        experiment=experiment,
        job=job,
        options=options,
        search=search,
        trials=of_sweep["trials"],
        seed=seed if isinstance(seed, int) else 0,
        repeats=min_repeats,
        max_repeats=max_repeats,
        folds=folds_of(of_sweep["folds"]),
        wanted=wanted,
        pruner=pruner_of(pruner),
        max_running=max_running,
        is_adopting=is_adopting,
        budget_s=budget_s,
        population=population,
    )
    _check(design)
    return design if population is None else of_population(design)


def _check_names(arguments: Mapping[str, Any]) -> None:
    if "params" in arguments:
        raise SearchError("params: a sweep makes them itself, of the values it searches")
    for key in arguments:
        if key not in SPEC_NAMES:
            raise SpecError(str(key)[:60], f"no such argument of a sweep{hint(str(key))}")


def _compiled(job: dict[str, Any]) -> dict[str, Any]:
    """Loss and metrics in canonical form, of the first point; what is wrong there is said later."""
    document = space.substitute(job, space.first(job))
    model = document.get("model")
    compiled = model.get("compile_config") if isinstance(model, dict) else None
    document = {**(compiled if isinstance(compiled, dict) else {}), **document}
    try:
        return {
            "loss": compile_parts.losses(document.get("loss")),
            "metrics": compile_parts.metrics(document.get("metrics")),
            "weighted_metrics": compile_parts.metrics(document.get("weighted_metrics")),
        }
    except SpecError:
        return {}


def point_hash(point: Point) -> str:
    """What makes two points of a sweep the same."""
    return hashlib.sha256(key_of(point).encode()).hexdigest()


def _opened(value: Any, place: str) -> Any:
    """A model file, a builder or a dataset as the mapping that it stands for."""
    if place == "model" and isinstance(value, str) and value.endswith((".json", ".yaml", ".yml")):
        # The file may not be there where the sweep continues.
        return model_spec(value, Settings())[0].config
    if place == "model" and isinstance(value, dict) and "builder" in value:
        value = builder_of(value)
    if place == "code":
        return paths_of(value)
    if place in ("evaluators", "callbacks") and not isinstance(value, str | Mapping | space.Space):
        parts = value if isinstance(value, list | tuple) else [value]
        return [_of_object(part, place) for part in parts]
    if isinstance(value, Builder):
        return {"path": value.path, "arguments": dict(value.arguments)}
    if isinstance(value, DatasetSpec):
        return value.model_dump(exclude_unset=True)
    return value.__fspath__() if hasattr(value, "__fspath__") else value


def _of_object(part: Any, place: str) -> Any:
    """A function or a callback object by its names; what is written already stays."""
    if place == "evaluators" and isinstance(part, FunctionType):
        check_reachable(part, place)
        return f"{part.__module__}:{part.__name__}"
    is_object = place == "callbacks" and not isinstance(part, str | Mapping | space.Space)
    return callbacks([part])[0] if is_object else part


def _check(design: Design) -> None:
    for name in ("model", "dataset"):
        if design.job.get(name) is None:
            raise SpecError(name, "is missing; every job needs one")
    if design.max_repeats * design.fold_count > MAX_REPLICATES:
        jobs = design.max_repeats * design.fold_count
        raise SearchError(
            f"repeats: {jobs:,} jobs of one point, repeats by folds, are more than"
            f" {MAX_REPLICATES:,}"
        )
    if design.search not in SEARCHES:
        raise SearchError(f"search: {design.search!r} is not one of {', '.join(SEARCHES)}")
    if design.search == "cmaes" and len(design.wanted) > 1:
        raise SearchError("search: cmaes takes one objective; with several use tpe, gp or qmc")
    _check_pruner(design)


def _check_pruner(design: Design) -> None:
    if design.pruner is None:
        return
    name, epochs = design.pruner["name"], design.max_epochs
    if len(design.wanted) > 1:
        raise SearchError("pruner: with several objectives pruning is not possible")
    if design.wanted[0].is_after_the_fit:
        raise SearchError(
            f"pruner: {design.wanted[0].name} is known only after the fit; prune by a metric of the"
            " epochs, such as val_loss"
        )
    if name == "wilcoxon":
        if design.replicates < 3:
            raise SearchError(
                "pruner: wilcoxon compares the repeats or folds of points; it needs at least 3"
            )
    elif epochs < 2:
        raise SearchError(
            f"pruner: {name} compares curves, and one epoch is not a curve; give more"
            f" epochs, or leave"
            " the pruner out"
        )
