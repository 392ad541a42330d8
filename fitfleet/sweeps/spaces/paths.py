"""The search spaces of a document: their paths, their names, and the options they depend on.

A space inside an option of a `choice` is a parameter only while that option is chosen. Such an
option goes by a label (`Adam`, `SGD`), which is the value of the choice.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fitfleet.errors import SearchError
from fitfleet.sweeps.spaces.parameters import MARK, REPEAT, Repeat, Space, from_space

# Levels of a document that say nothing about a parameter.
_NOT_IN_NAMES = ("config", "arguments", "layers", "model", "Sequential", REPEAT)
MAX_PARAMETERS = 200
# Deeper ones are no specification, and would be walked for ever where they contain themselves.
_MAX_LEVELS = 200

Path = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a space stands: its path in the document, and the words that name it."""

    path: Path
    words: tuple[str, ...]
    space: Space
    marker: dict[str, Any]  # the same object wherever one space stands
    parent: Path | None = None  # of the choice in whose option it stands
    option: int = 0  # which one

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
    """Every space of a document, in its order, a choice before what stands in its options.

    SearchError for more than MAX_PARAMETERS of them, and for a document nested too deeply.
    """
    walked = list(itertools.islice(_walk(document, (), (), None, 0), MAX_PARAMETERS + 1))
    if len(walked) > MAX_PARAMETERS:
        raise SearchError(f"more than {MAX_PARAMETERS} search spaces; search fewer at a time")
    return walked


def names_of(spaces: Sequence[Place]) -> dict[Path, str]:
    """The name of the space at each path, unique but for spaces that are one parameter."""
    first: dict[int, Place] = {}
    for place in spaces:
        first.setdefault(place.key, place)
    names = {key: place.space.name for key, place in first.items() if place.space.name}
    unnamed = [place for key, place in first.items() if key not in names]
    counts = Counter(end for place in unnamed for end in place.ends())
    taken = set(names.values())
    for key, place in first.items():
        if key not in names:
            names[key] = _free(place, counts, taken)
            taken.add(names[key])
    return {place.path: str(names[place.key]) for place in spaces}


def labels(space: Space) -> list[str]:
    """What the options of a choice with spaces inside go by: each its class, counted up."""
    words = [_label(option) for option in map(opened, space.options)]
    seen: Counter[str] = Counter()
    texts = []
    for word in words:
        seen[word] += 1
        texts.append(word if words.count(word) == 1 else f"{word}_{seen[word]}")
    return texts


def opened(value: Any) -> Any:
    """The mapping or list that an object of the short form stands for; else the value itself."""
    if isinstance(value, Repeat):
        return value.to_space()
    if hasattr(value, "to_layer") and not isinstance(value, type):
        return value.to_layer()
    if hasattr(value, "model_dump"):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        if fields.get("hyperparameters", "") is None:  # of a builder that takes none
            del fields["hyperparameters"]
        return fields
    return value


def _free(place: Place, counts: Counter[str], taken: set[str]) -> str:
    """The shortest name of a place that no other space has."""
    for end in place.ends():
        if counts[end] == 1 and end not in taken:
            return end
    whole = place.ends()[-1]
    if whole not in taken:
        return whole
    return next(name for n in itertools.count(2) if (name := f"{whole}_{n}") not in taken)


def _walk(
    value: Any, path: Path, words: tuple[str, ...], parent: Path | None, option: int
) -> Iterator[Place]:
    if len(path) > _MAX_LEVELS:
        raise SearchError(f"the document has more than {_MAX_LEVELS} levels inside each other")
    space = from_space(value)
    if space is not None:
        marker = value.to_space() if isinstance(value, Space) else value
        yield Place(path, words or path[:1] or ("value",), space, marker, parent, option)
        yield from _inside(space, path, words)
        return
    value = opened(value)
    if isinstance(value, dict):
        for key, part in value.items():
            key = str(key)
            is_silent = key in _NOT_IN_NAMES or (len(value) == 1 and key[:1].isupper())
            more = words if is_silent else (*words, key)
            yield from _walk(part, (*path, key), more, parent, option)
    elif isinstance(value, list | tuple):
        parts = [opened(part) for part in value]
        kind = "layer" if path[-1:] == ("layers",) else None
        for index, (word, part) in enumerate(zip(_words(parts, kind), value, strict=True)):
            yield from _walk(part, (*path, str(index)), (*words, word), parent, option)


def _inside(space: Space, path: Path, words: tuple[str, ...]) -> Iterator[Place]:
    """The spaces in the options of a choice."""
    if all(_is_plain(option) for option in space.options):
        return
    for index, (label, part) in enumerate(zip(labels(space), space.options, strict=True)):
        yield from _walk(part, option_path(path, index), (*words, label), path, index)


def option_path(path: Path, index: int) -> Path:
    """Where an option of the choice at a path stands in a document."""
    return (*path, "options", str(index))


def _is_plain(option: Any) -> bool:
    return option is None or isinstance(option, bool | int | float | str)


def _label(option: Any) -> str:
    name = _class_name(option)
    if name is not None:
        return name
    if isinstance(option, dict):
        return str(option.get(MARK) or option.get("path") or "option")
    if isinstance(option, Space):
        return option.kind
    return str(option) if _is_plain(option) else "option"


def _words(parts: list[Any], kind: str | None) -> list[str]:
    """Names for the elements of a list: layers as Keras names them, others by their number.

    A choice among elements is named after their kind, if there is one.
    """
    counts: Counter[str] = Counter()
    words = []
    for index, part in enumerate(parts):
        name = kind if from_space(part) is not None else _class_name(part)
        if name is None:
            words.append(str(index))
            continue
        config = part.get("config") if isinstance(part, dict) else None
        given = config.get("name") if isinstance(config, dict) else None
        word = given if isinstance(given, str) else _snake_case(name)
        if given is None:
            counts[word] += 1
            word = word if counts[word] == 1 else f"{word}_{counts[word] - 1}"
        words.append(word)
    return words


def _class_name(part: Any) -> str | None:
    if not isinstance(part, dict):
        return None
    if REPEAT in part:
        return _class_name(opened(part[REPEAT]))
    name = part.get("class_name")
    if name is None and len(part) == 1:
        name = next(iter(part))
    return name if isinstance(name, str) and name[:1].isupper() else None


def _snake_case(name: str) -> str:
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()
