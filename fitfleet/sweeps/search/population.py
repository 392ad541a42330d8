"""Population-based training: how the next generation comes out of one that has been trained.

By Jaderberg et al., "Population Based Training of Neural Networks" (2017), with the truncation
selection and the perturbations of Ray Tune, whose names the arguments have. All random numbers are
functions of the sweep's seed, the generation and the member.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fitfleet.errors import SearchError
from fitfleet.spec.keywords import is_number
from fitfleet.sweeps.bounds import MAX_REPEATS, check_positive, name_of
from fitfleet.sweeps.search.names import PBT
from fitfleet.sweeps.spaces.parameters import Space
from fitfleet.sweeps.spaces.space import Parameter, Point

_HOW = "give ff.pbt(population=8, perturbation_interval=2), numbers of members and of epochs"


@dataclass(frozen=True)
class PopulationBasedTraining:
    """The arguments of `pbt`, checked."""

    population: int
    perturbation_interval: int
    quantile_fraction: float
    resample_probability: float
    perturbation_factors: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """As the design of a sweep stores it."""
        return {**asdict(self), "perturbation_factors": list(self.perturbation_factors)}

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> PopulationBasedTraining:
        """What `to_json` wrote. SearchError for what it would not write."""
        try:
            return pbt(**document)
        except TypeError as error:
            words = str(error).partition(") ")[2] or str(error)
            raise SearchError(f"search: pbt: {words}; {_HOW}") from None


def pbt(
    *,
    population: int,
    perturbation_interval: int,
    quantile_fraction: float = 0.25,
    resample_probability: float = 0.25,
    perturbation_factors: Sequence[float] = (0.8, 1.2),
) -> PopulationBasedTraining:
    """A search by population-based training: `fleet.sweep(..., search=ff.pbt(...))`.

    `population` models are trained for `perturbation_interval` epochs, a generation. Then each of
    the worst `quantile_fraction` of them is replaced by one of the best (exploit): it takes over
    weights, optimizer state and hyperparameters, and changes these (explore). With
    `resample_probability` a hyperparameter is drawn anew; else a number is multiplied by one of the
    `perturbation_factors`, within its bounds, and a choice moves to an option beside it.
    SearchError says which argument is wrong.
    """
    check_positive("population", population)
    if not 2 <= population <= MAX_REPEATS:
        raise SearchError(f"population: {population:,} is not from 2 to {MAX_REPEATS:,} members")
    check_positive("perturbation_interval", perturbation_interval)
    _check_fraction("quantile_fraction", quantile_fraction, 0.5)
    _check_fraction("resample_probability", resample_probability, 1.0)
    factors = perturbation_factors
    is_list = isinstance(factors, list | tuple) and len(factors) > 0
    if not is_list or not all(is_number(factor) and factor > 0 for factor in factors):
        raise SearchError(
            f"perturbation_factors: {factors!r:.60} is not a list of positive numbers such as"
            " [0.8, 1.2]"
        )
    return PopulationBasedTraining(
        population,
        perturbation_interval,
        float(quantile_fraction),
        float(resample_probability),
        tuple(map(float, factors)),
    )


def search_of(search: Any) -> tuple[str, dict[str, Any] | None]:
    """The name of a search, and the arguments of `pbt` as JSON where it is that. SearchError."""
    if isinstance(search, PopulationBasedTraining):
        return PBT, search.to_json()
    if isinstance(search, Mapping):
        options = {str(key): value for key, value in search.items()}
        if options.pop("name", None) != PBT:
            raise SearchError(
                f"search: {dict(search)!r:.60} is neither a name nor"
                ' {"name": "pbt", "population": ..., "perturbation_interval": ...}'
            )
        return PBT, PopulationBasedTraining.of_json(options).to_json()
    name = name_of("search", search or "random")
    if name == PBT:
        raise SearchError(f"search: pbt needs a population and a perturbation_interval; {_HOW}")
    return name, None


@dataclass(frozen=True)
class Member:
    """A member of the population at the end of a generation."""

    trial: int
    point: Point
    value: float | None  # of the objective; None: it came to none


@dataclass(frozen=True)
class Successor:
    """A member of the next generation: whom it continues, with what."""

    parent: Member
    point: Point
    changes: dict[str, Any]  # {parameter: {"from": ..., "to": ...}}


def next_generation(
    members: Sequence[Member],
    options: PopulationBasedTraining,
    known: Mapping[str, Parameter],
    *,
    sign: float,
    seed: int,
    generation: int,
) -> list[Successor]:
    """The members of a generation, in the order of those before; [] if none of these is left.

    `sign` is -1 where the largest value is the best, else 1.
    """
    order = sorted(range(len(members)), key=lambda i: _cost(members[i], sign, i))
    alive = [i for i in order if members[i].value is not None]
    if not alive:
        return []
    size = min(math.ceil(len(members) * options.quantile_fraction), len(members) // 2)
    best = alive[: max(size, 1)]
    worst = {*order[len(order) - size :], *(set(order) - set(alive))} - set(best)
    successors = []
    for i, member in enumerate(members):
        source = random.Random(f"{seed}/{generation}/{i}")
        parent = members[source.choice(best)] if i in worst else member
        point = explored(parent.point, options, known, source) if i in worst else parent.point
        changes = {
            name: {"from": parent.point[name], "to": value}
            for name, value in point.items()
            if value != parent.point[name]
        }
        successors.append(Successor(parent, point, changes))
    return successors


def _cost(member: Member, sign: float, index: int) -> tuple[bool, float, int]:
    return member.value is None, sign * (member.value or 0.0), index


def explored(
    point: Mapping[str, Any],
    options: PopulationBasedTraining,
    known: Mapping[str, Parameter],
    source: random.Random,
) -> Point:
    """The hyperparameters, each drawn anew or perturbed."""
    changed: Point = {}
    for name, parameter in known.items():
        if source.random() < options.resample_probability:
            changed[name] = parameter.space.draw(source)
        else:
            factors = options.perturbation_factors
            changed[name] = perturbed(parameter.space, point[name], factors, source)
    return changed


def perturbed(space: Space, value: Any, factors: Sequence[float], source: random.Random) -> Any:
    """A number times one of the factors, or the option before or after that of a choice."""
    if space.kind == "choice":
        options = [json.dumps(option) for option in space.options]
        index = options.index(json.dumps(value)) + source.choice((-1, 1))
        return space.options[min(max(index, 0), len(options) - 1)]
    factor = source.choice(list(factors))
    if space.kind != "integers":
        return min(max(value * factor, space.low), space.high)
    low, step = int(space.low), space.step
    last = (int(space.high) - low) // step
    steps = round((value * factor - low) / step)
    if low + steps * step == value and factor != 1:
        steps += 1 if factor > 1 else -1
    return low + min(max(steps, 0), last) * step


def _check_fraction(name: str, value: Any, highest: float) -> None:
    if not is_number(value) or not 0 <= value <= highest:
        raise SearchError(f"{name}: {value!r:.40} is not a number from 0 to {highest:g}")
