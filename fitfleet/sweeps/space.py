"""Search spaces anywhere in a job's keywords: found by name, filled in, expanded to points.

A document is the mapping of keywords that `Fleet.submit` takes. Spaces travel in it as JSON,
`{"$space": "choice", "options": [...]}`, so that a sweep is a document too.

Spaces inside the options of a choice are conditional: a point has a value of them only where that
option is chosen.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import math
import random as random_module
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fitfleet.errors import SearchError
from fitfleet.sweeps.parameters import (
    REPEAT,
    Space,
    choice,
    from_space,
    integers,
    jsonable,
    log_uniform,
    repeat,
    uniform,
)
from fitfleet.sweeps.places import Path, Place, labels, names_of, opened, option_path, places

GRID_LIMIT = 100_000
_MAX_BYTES = 2**22

Point = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One name and its space. `conditions`: (choice, label) pairs; () is a parameter always.

    The options of a choice with spaces inside are its labels here.
    """

    space: Space
    conditions: tuple[tuple[str, str], ...] = ()

    def is_active(self, point: Mapping[str, Any]) -> bool:
        """Whether a point with these values so far has a value of it."""
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
                _replaced(jsonable(option), option_path(place.path, i), marked)
                for i, option in options
            ]
        if shared[place.key] > 1:
            marker["name"] = names[place.path]
        marked[place.path] = marker
    return _replaced(document, (), marked)


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
        known[name] = Parameter(space, conditions)
    return known


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
            raise SearchError(f"{name!r} is no parameter; there are {', '.join(known)}")
    for name, parameter in known.items():
        if parameter.is_active(values) and name not in values:
            raise SearchError(f"the parameter {name!r} has no value")
    spaces = places(document)
    names = names_of(spaces)
    structural = {place.parent for place in spaces}
    filled: dict[Path, Any] = {}
    for place in spaces:
        if names[place.path] in values:
            value = values[names[place.path]]
            is_option = place.path in structural
            filled[place.path] = _Option.of(place, value) if is_option else value
    return _replaced(document, (), filled)


@dataclass(frozen=True)
class _Option:
    """The chosen option of a choice, in which there may be spaces to fill in."""

    path: Path
    value: Any

    @classmethod
    def of(cls, place: Place, label: Any) -> _Option:
        known = labels(place.space)
        if label not in known:
            raise SearchError(f"{label!r} is none of the options {', '.join(known)}")
        index = known.index(label)
        return cls(option_path(place.path, index), place.space.options[index])


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
    """The number of points, never counted one by one; above it where spaces are shared."""

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
        raise SearchError(f"{count} points are none; ask for at least one")
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
        raise SearchError(
            "nothing is to be searched; put choice, uniform, log_uniform or integers in"
        )
    return known


def _replaced(value: Any, path: Path, values: Mapping[Path, Any]) -> Any:
    if path in values:
        chosen = values[path]
        if isinstance(chosen, _Option):
            return _replaced(chosen.value, chosen.path, values)
        return chosen
    value = opened(value)
    if isinstance(value, dict):
        return {key: _replaced(part, (*path, str(key)), values) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_replaced(part, (*path, str(i)), values) for i, part in enumerate(value)]
        return [layer for part in parts for layer in _copies(part)]
    return value


def _copies(part: Any) -> list[Any]:
    """The layers that a repeat stands for, once its count is known; anything else is itself."""
    if not isinstance(part, dict) or REPEAT not in part or not isinstance(part.get("count"), int):
        return [part]
    layers = part[REPEAT] if isinstance(part[REPEAT], list) else [part[REPEAT]]
    count = repeat(layers, part["count"]).count
    if count * len(json.dumps(layers, default=str)) > _MAX_BYTES:
        raise SearchError(f"repeat: {count} copies are more than {_MAX_BYTES:,} bytes of JSON")
    return [copy.deepcopy(layer) for _ in range(count) for layer in layers]


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
