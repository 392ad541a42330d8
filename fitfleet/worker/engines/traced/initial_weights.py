"""Initial weights of many jobs of one architecture, without building a Keras model for each.

Keras draws one number from Python's `random` for every initialiser and every SeedGenerator that
has no seed of its own, in the order in which they are made. So initial weights are a function of
these numbers. Which number belongs to which variable is inferred by comparing the values of one
model, and confirmed on a second one with another seed. If that does not explain every variable, the
model of each job is built.
"""

from __future__ import annotations

import copy
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitfleet.spec.job import JobSpec
from fitfleet.worker.keras_private import RandomInitializer
from fitfleet.worker.seeding import mix

_MAX_DRAWS = 1024
_MAX_BYTES = 64 * 2**20  # larger models are built: most of the time is drawing the numbers


@dataclass(frozen=True)
class Recipe:
    """How a variable gets its initial value: a constant, a draw, or an initialiser of a draw."""

    shape: tuple[int, ...]
    dtype: str
    constant: np.ndarray | None = None
    draw: int | None = None
    initializer: Any = None

    def value(self, draws: Sequence[int]) -> Any:
        """The variable's value for a seed's draws."""
        if self.constant is not None:
            return self.constant
        assert self.draw is not None
        if self.initializer is None:
            return np.array([draws[self.draw], 0], self.dtype)
        initializer = copy.copy(self.initializer)
        initializer.seed = draws[self.draw]
        return initializer(self.shape, self.dtype)


class InitialWeights:
    """The variables of seeded builds of one architecture; specs differ in their seed only."""

    def __init__(self, build: Callable[[JobSpec], Any], spec: JobSpec, model: Any) -> None:
        """`model` was built from `spec` and has not been trained yet."""
        self._build = build
        self._seed = spec.seed
        self._model = model
        self._first: list[np.ndarray] | None = None
        if sum(v.value.shape.num_elements() * 8 for v in model.variables) <= _MAX_BYTES:
            self._first = [v.numpy() for v in model.variables]
        self._recipes: list[Recipe] | None = None
        self._by_seed: OrderedDict[int, list[Any]] = OrderedDict()

    def values(self, spec: JobSpec) -> list[Any]:
        """The initial values of a model of `spec`, bit for bit, in the order of its variables."""
        if self._recipes is not None:
            return self._weights_of_seed(self._recipes, spec.seed)
        if self._first is not None and spec.seed == self._seed:
            return list(self._first)
        weights = [v.numpy() for v in self._build(spec).variables]
        if self._first is not None and spec.seed != self._seed:
            recipes = _recipes(self._model, self._first, draws_of(self._seed), weights)
            self._first = None
            if recipes is not None and _confirm(recipes, draws_of(spec.seed), weights):
                self._recipes = recipes
        return weights

    def _weights_of_seed(self, recipes: Sequence[Recipe], seed: int) -> list[Any]:
        """The values of a seed, cached: many jobs of a sweep have the same seeds."""
        weights = self._by_seed.pop(seed, None)
        if weights is None:
            draws = draws_of(seed)
            weights = [np.asarray(recipe.value(draws)) for recipe in recipes]
        self._by_seed[seed] = weights
        max_seeds = max(1, _MAX_BYTES // max(1, sum(value.nbytes for value in weights)))
        while len(self._by_seed) > max_seeds:
            self._by_seed.popitem(last=False)
        return weights


def draws_of(seed: int) -> list[int]:
    """The numbers that Keras draws after `order.seed_everything(seed)`, in their order."""
    generator = random.Random(mix(seed, "init"))
    return [generator.randint(1, int(1e9)) for _ in range(_MAX_DRAWS)]


def _recipes(
    model: Any, first: Sequence[np.ndarray], draws: Sequence[int], second: Sequence[np.ndarray]
) -> list[Recipe] | None:
    """A recipe for each variable; None if one cannot be inferred."""
    index = {number: place for place, number in reversed(list(enumerate(draws)))}
    owners = {id(v): layer for layer in model._flatten_layers() for v in _layer_variables(layer)}
    recipes = []
    for variable, value, other in zip(model.variables, first, second, strict=True):
        recipe = _recipe(variable, value, other, owners.get(id(variable)), index)
        if recipe is None:
            return None
        recipes.append(recipe)
    return recipes


def _recipe(
    variable: Any, value: np.ndarray, other: np.ndarray, owner: Any, index: dict[int, int]
) -> Recipe | None:
    shape, dtype = tuple(variable.shape), variable.dtype
    if np.array_equal(value, other):
        return Recipe(shape, dtype, constant=value)
    if variable.name == "seed_generator_state":
        draw = index.get(int(value[0]))
        return None if draw is None else Recipe(shape, dtype, draw=draw)
    for initializer in _initializers(owner):
        draw = index.get(initializer.seed)
        if draw is None:
            continue
        recipe = Recipe(shape, dtype, draw=draw, initializer=initializer)
        if np.array_equal(np.asarray(initializer(shape, dtype)), value):
            return recipe
    return None


def _confirm(recipes: list[Recipe], draws: Sequence[int], values: Sequence[np.ndarray]) -> bool:
    return all(
        np.array_equal(np.asarray(recipe.value(draws)), value)
        for recipe, value in zip(recipes, values, strict=True)
    )


def _layer_variables(layer: Any) -> list[Any]:
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def _initializers(layer: Any) -> list[Any]:
    attributes = vars(layer).values() if layer is not None else ()
    return [v for v in attributes if isinstance(v, RandomInitializer) and isinstance(v.seed, int)]
