"""Search spaces anywhere in a job's keywords: found by name, filled in, expanded to points.

A document is the mapping of keywords that `Fleet.submit` takes. Spaces travel in it as JSON,
`{"$space": "choice", "options": [...]}`, so that a sweep is a document too.
"""

from __future__ import annotations

import itertools
import math
import random as random_module
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fitfleet.errors import SearchError
from fitfleet.sweeps.parameters import Space, choice, from_space, integers, log_uniform, uniform

GRID_LIMIT = 100_000
# Levels of a document that say nothing about a parameter.
_UNSPOKEN = ("config", "arguments", "layers", "model", "Sequential")


def plain(document: Any) -> Any:
    """The document as JSON, its spaces as markers that carry their names.

    One space object used in two places stays one parameter: both markers have its name.
    """
    found = places(document)
    names = _names(found)
    shared = Counter(place.key for place in found)
    marked = {}
    for place in found:
        marker = dict(place.space.to_space())
        if shared[place.key] > 1:
            marker["name"] = names[place.path]
        marked[place.path] = marker
    return _replaced(document, (), marked)


def find(document: Any) -> dict[str, Space]:
    """{parameter: space} of a document, in its order; names are short and unique.

    `units` of a model's only such argument, `lstm_1.units` where several layers have one,
    `optimizer.learning_rate` outside the model. Spaces given one name are one parameter.
    Raises SearchError if different spaces have the same name.
    """
    found = places(document)
    names = _names(found)
    spaces: dict[str, Space] = {}
    for place in found:
        name = names[place.path]
        if spaces.setdefault(name, place.space) != place.space:
            raise SearchError(f"two different spaces have the name {name!r}")
    return spaces


def substitute(document: Any, values: Mapping[str, Any]) -> Any:
    """The document as JSON with each space replaced by the value of its name in `find`.

    Raises SearchError for a name that is missing or unknown.
    """
    names = _names(places(document))
    for name in values:
        if name not in names.values():
            raise SearchError(f"{name!r} is no parameter; there are {', '.join(names.values())}")
    for name in names.values():
        if name not in values:
            raise SearchError(f"the parameter {name!r} has no value")
    return _replaced(document, (), {path: values[name] for path, name in names.items()})


def grid(document: Any, count: int | None = None) -> list[dict[str, Any]]:
    """The points of the document's spaces, the last parameter changing fastest; all or `count`.

    SearchError for a space without a grid, and for more than GRID_LIMIT points without a count.
    """
    spaces = _some(document)
    values = [space.points(name) for name, space in spaces.items()]
    total = math.prod(map(len, values))
    if count is None and total > GRID_LIMIT:
        raise SearchError(
            f"the grid has {total:,} points, above the limit of {GRID_LIMIT:,}; give trials= for"
            " the first so many, or use search='random' with a number of trials"
        )
    points = itertools.islice(itertools.product(*values), count)
    return [dict(zip(spaces, point, strict=True)) for point in points]


def random(document: Any, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` points at random, the same for the same seed. A longer list starts alike."""
    if count < 1:
        raise SearchError(f"{count} points are none; ask for at least one")
    spaces = _some(document)
    source = random_module.Random(seed)
    return [{name: space.draw(source) for name, space in spaces.items()} for _ in range(count)]


def _some(document: Any) -> dict[str, Space]:
    spaces = find(document)
    if not spaces:
        raise SearchError(
            "nothing is to be searched; put choice, uniform, log_uniform or integers in"
        )
    return spaces


def _names(found: list[Place]) -> dict[tuple[str, ...], str]:
    """The name of the space at each path, unique but for spaces that are one parameter."""
    first: dict[int, Place] = {}
    for place in found:
        first.setdefault(place.key, place)
    names = {key: place.space.name for key, place in first.items() if place.space.name}
    unnamed = [place for key, place in first.items() if key not in names]
    counts = Counter(end for place in unnamed for end in place.ends())
    taken = set(names.values())
    for key, place in first.items():
        if key not in names:
            names[key] = _free(place, counts, taken)
            taken.add(names[key])
    return {place.path: str(names[place.key]) for place in found}


def _free(place: Place, counts: Counter[str], taken: set[str]) -> str:
    """The shortest name of a place that no other space has."""
    for end in place.ends():
        if counts[end] == 1 and end not in taken:
            return end
    whole = place.ends()[-1]
    if whole not in taken:
        return whole
    return next(name for n in itertools.count(2) if (name := f"{whole}_{n}") not in taken)


def _replaced(value: Any, path: tuple[str, ...], values: Mapping[tuple[str, ...], Any]) -> Any:
    if path in values:
        return values[path]
    value = opened(value)
    if isinstance(value, dict):
        return {key: _replaced(part, (*path, str(key)), values) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(part, (*path, str(i)), values) for i, part in enumerate(value)]
    return value


@dataclass(frozen=True)
class Place:
    """Where a space stands: its path in the document, and the words that name it."""

    path: tuple[str, ...]
    words: tuple[str, ...]
    space: Space
    marker: dict[str, Any]  # the same object wherever one space stands

    @property
    def key(self) -> int:
        """Tells one space from another, equal one."""
        return id(self.marker)

    def ends(self) -> list[str]:
        """Candidate names, the shortest first. Outside the model only the whole name will do."""
        whole = ".".join(self.words)
        if self.path[:1] != ("model",):
            return [whole]
        return [".".join(self.words[-n:]) for n in range(1, len(self.words) + 1)]


def places(document: Any) -> list[Place]:
    """Every space of a document, in its order."""
    return list(_walk(document, (), ()))


def opened(value: Any) -> Any:
    """The mapping or list that an object of the short form stands for; else the value itself."""
    if hasattr(value, "to_layer") and not isinstance(value, type):
        return value.to_layer()
    if hasattr(value, "model_dump"):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value


def _walk(value: Any, path: tuple[str, ...], words: tuple[str, ...]) -> Iterator[Place]:
    space = from_space(value)
    if space is not None:
        marker = value.to_space() if isinstance(value, Space) else value
        yield Place(path, words or ("value",), space, marker)
        return
    value = opened(value)
    if isinstance(value, dict):
        for key, part in value.items():
            key = str(key)
            is_silent = key in _UNSPOKEN or (len(value) == 1 and key[:1].isupper())
            yield from _walk(part, (*path, key), words if is_silent else (*words, key))
    elif isinstance(value, list | tuple):
        parts = [opened(part) for part in value]
        for index, (word, part) in enumerate(zip(_words(parts), value, strict=True)):
            yield from _walk(part, (*path, str(index)), (*words, word))


def _words(parts: list[Any]) -> list[str]:
    """Names for the elements of a list: layers as Keras names them, others by their number."""
    counts: Counter[str] = Counter()
    words = []
    for index, part in enumerate(parts):
        name = _class_name(part)
        if name is None:
            words.append(str(index))
            continue
        given = part.get("config", {}).get("name") if isinstance(part.get("config"), dict) else None
        word = given if isinstance(given, str) else _snake_case(name)
        if given is None:
            counts[word] += 1
            word = word if counts[word] == 1 else f"{word}_{counts[word] - 1}"
        words.append(word)
    return words


def _class_name(part: Any) -> str | None:
    if not isinstance(part, dict):
        return None
    name = part.get("class_name")
    if name is None and len(part) == 1:
        name = next(iter(part))
    return name if isinstance(name, str) and name[:1].isupper() else None


def _snake_case(name: str) -> str:
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()


__all__ = [
    "Space",
    "choice",
    "find",
    "from_space",
    "grid",
    "integers",
    "log_uniform",
    "places",
    "plain",
    "random",
    "substitute",
    "uniform",
]
