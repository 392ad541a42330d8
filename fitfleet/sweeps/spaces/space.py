"""Search spaces anywhere in a job's keywords: found by name, filled in, expanded to points.

A document is the mapping of keywords that `Fleet.submit` takes. Spaces travel in it as JSON,
`{"$space": "choice", "options": [...]}`, so that a sweep is a document too.

Spaces inside the options of a choice are conditional: a point has a value of them only where that
option is chosen.
"""

from __future__ import annotations

import functools
import itertools
import math
import random as random_module
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fitfleet.errors import SearchError
from fitfleet.sweeps.spaces.parameters import (
    Space,
    choice,
    from_space,
    integers,
    jsonable,
    log_uniform,
    repeat,
    uniform,
)
from fitfleet.sweeps.spaces.paths import Path, Place, labels, names_of, option_path, places
from fitfleet.sweeps.spaces.values import ABSENT, Option, replaced

GRID_LIMIT = 100_000

Point = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One name and its space. `conditions`: (choice, label) pairs; () is a parameter always.

    The options of a choice with spaces inside are its labels here. The space's own `when` holds
    besides.
    """

    space: Space
    conditions: tuple[tuple[str, str], ...] = ()

    def is_active(self, point: Mapping[str, Any]) -> bool:
        """Whether a point with these values so far has a value of it."""
        when = self.space.when
        if when and not any(
            all(name in point and point[name] in values for name, values in entry) for entry in when
        ):
            return False
        return not self.conditions or any(point.get(n) == label for n, label in self.conditions)


def plain(document: Any) -> Any:
    """The document as JSON, its spaces as markers that carry their names.

    One space object used in two places stays one parameter: both markers have its name.
    """
    spaces = places(document)
    names = names_of(spaces)
    shared = Counter(place.key for place in spaces)
    marked: dict[Path, Any] = {}
    for place in reversed(spaces):  # what stands in an option before its choice
        marker = dict(place.space.to_space())
        if place.space.kind == "choice":
            options = enumerate(place.space.options)
            marker["options"] = [
                replaced(jsonable(option), option_path(place.path, i), marked)
                for i, option in options
            ]
        if shared[place.key] > 1:
            marker["name"] = names[place.path]
        marked[place.path] = marker
    return replaced(document, (), marked)


def find(document: Any) -> dict[str, Space]:
    """{parameter: space} of a document, in its order; names are short and unique.

    `units` of a model's only such argument, `lstm_1.units` where several layers have one,
    `optimizer.learning_rate` outside the model, `optimizer.Adam.learning_rate` inside an option.
    Spaces given one name are one parameter. SearchError if different spaces have the same name.
    """
    return {name: parameter.space for name, parameter in parameters(document).items()}


def parameters(document: Any) -> dict[str, Parameter]:
    """The same with what they hang on; a choice comes before what stands in its options."""
    spaces = places(document)
    names = names_of(spaces)
    structural = {place.parent for place in spaces}
    raw: dict[str, Space] = {}
    known: dict[str, Parameter] = {}
    always: set[str] = set()
    for place in spaces:
        name, space = names[place.path], place.space
        if raw.setdefault(name, space) != space:
            raise SearchError(f"two different spaces have the name {name!r}")
        if place.path in structural:
            space = replace(space, options=tuple(labels(place.space)))
        hangs_on = _condition(place, spaces, names)
        if hangs_on is None:
            always.add(name)
        before = known[name].conditions if name in known else ()
        conditions = () if name in always else (*before, *([hangs_on] if hangs_on else []))
        _check_when(name, space, known)
        known[name] = Parameter(space, conditions)
    return known


def _check_when(name: str, space: Space, known: Mapping[str, Parameter]) -> None:
    for parent in (parent for entry in space.when for parent, _ in entry):
        if parent not in known:
            raise SearchError(
                f"{name!r} is active by {parent!r}, which is not a parameter before it"
            )


def _condition(
    place: Place, spaces: Sequence[Place], names: Mapping[Path, str]
) -> tuple[str, str] | None:
    if place.parent is None:
        return None
    parent = next(other for other in spaces if other.path == place.parent)
    return names[place.parent], labels(parent.space)[place.option]


def substitute(document: Any, values: Mapping[str, Any]) -> Any:
    """The document as JSON with each space replaced by the value of its name in `find`.

    Raises SearchError for a name that is missing or unknown.
    """
    known = parameters(document)
    for name in values:
        if name not in known:
            raise SearchError(f"{name!r} is not a parameter; there are {', '.join(known)}")
    for name, parameter in known.items():
        if parameter.is_active(values) and name not in values:
            raise SearchError(f"the parameter {name!r} has no value")
    spaces = places(document)
    names = names_of(spaces)
    structural = {place.parent for place in spaces}
    filled: dict[Path, Any] = {}
    for place in spaces:
        if place.space.when and names[place.path] not in values:
            filled[place.path] = ABSENT
        elif names[place.path] in values:
            value = values[names[place.path]]
            is_option = place.path in structural
            filled[place.path] = Option.of(place, value) if is_option else value
    return replaced(document, (), filled)


def grid(document: Any, count: int | None = None) -> list[Point]:
    """The points of the document's spaces, the last parameter changing fastest; all or `count`.

    SearchError for a space without a grid, and for more than GRID_LIMIT points without a count.
    """
    known = _some(document)
    values = {name: parameter.space.points(name) for name, parameter in known.items()}
    if count is None:
        total = _total(known, values)
        if total > GRID_LIMIT:
            raise SearchError(
                f"the grid has {total:,} points, above the limit of {GRID_LIMIT:,}; give trials="
                " for the first so many, or use search='random' with a number of trials"
            )
    return list(itertools.islice(_combined(known, values), count))


def _combined(
    known: Mapping[str, Parameter], values: Mapping[str, Sequence[Any]]
) -> Iterator[Point]:
    names = list(known)

    def rest(index: int, point: Point) -> Iterator[Point]:
        if index == len(names):
            yield point
            return
        name = names[index]
        if not known[name].is_active(point):
            yield from rest(index + 1, point)
            return
        for value in values[name]:
            yield from rest(index + 1, {**point, name: value})

    return rest(0, {})


def _total(known: Mapping[str, Parameter], values: Mapping[str, Sequence[Any]]) -> int:
    """The number of points, above it where spaces are shared.

    Counted one by one, as far as the limit, only where spaces have conditions of their own.
    """
    if any(parameter.space.when for parameter in known.values()):
        return sum(1 for _ in itertools.islice(_combined(known, values), GRID_LIMIT + 1))

    @functools.cache
    def below(name: str) -> int:
        hanging = [
            n for n, parameter in known.items() if any(c[0] == name for c in parameter.conditions)
        ]
        if not hanging:
            return len(values[name])
        return sum(
            math.prod(below(n) for n in hanging if (name, label) in known[n].conditions)
            for label in values[name]
        )

    return math.prod(below(name) for name, parameter in known.items() if not parameter.conditions)


def random(document: Any, count: int, seed: int) -> list[Point]:
    """`count` points at random, the same for the same seed. A longer list starts alike."""
    if count < 1:
        raise SearchError(f"{count} points are too few; ask for at least one")
    known = _some(document)
    source = random_module.Random(seed)
    return [filled(known, lambda _, space: space.draw(source)) for _ in range(count)]


def first(document: Any) -> Point:
    """One point, always the same."""
    return filled(parameters(document), lambda _, space: space.first)


def filled(known: Mapping[str, Parameter], ask: Callable[[str, Space], Any]) -> Point:
    """A point whose values are asked for, one after another, as far as they are parameters."""
    point: Point = {}
    for name, parameter in known.items():
        if parameter.is_active(point):
            point[name] = ask(name, parameter.space)
    return point


def _some(document: Any) -> dict[str, Parameter]:
    known = parameters(document)
    if not known:
        raise SearchError("there is no search space; add choice, uniform, log_uniform or integers")
    return known


__all__ = [
    "Parameter",
    "Space",
    "choice",
    "filled",
    "find",
    "first",
    "from_space",
    "grid",
    "integers",
    "log_uniform",
    "parameters",
    "places",
    "plain",
    "random",
    "repeat",
    "substitute",
    "uniform",
]
