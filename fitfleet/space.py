"""Search spaces: values to be chosen, anywhere in a job's keywords.

A space travels as JSON, `{"$space": "choice", "options": [...]}`, so that a sweep is a document.
"""

from __future__ import annotations

import itertools
import math
import random as random_module
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fitfleet.errors import SearchError

_MARK = "$space"
GRID_LIMIT = 100_000


@dataclass(frozen=True)
class Space:
    """One value to be chosen. `kind` is choice, uniform, log_uniform or integers."""

    kind: str
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    is_log: bool = False

    def to_space(self) -> dict[str, Any]:
        """The JSON form."""
        if self.kind == "choice":
            return {_MARK: "choice", "options": list(self.options)}
        document: dict[str, Any] = {_MARK: self.kind, "low": self.low, "high": self.high}
        if self.kind == "integers":
            document |= {"step": self.step, "is_log": self.is_log}
        return document

    def points(self) -> list[Any]:
        """All values of a grid. SearchError for a continuous space."""
        if self.kind == "choice":
            return list(self.options)
        if self.kind == "integers" and not self.is_log:
            return list(range(int(self.low), int(self.high) + 1, self.step))
        raise SearchError(f"{self.kind} has no grid; use choice, or search='random'")

    def draw(self, random: random_module.Random) -> Any:
        """One value at random."""
        if self.kind == "choice":
            return random.choice(self.options)
        if self.kind == "integers" and not self.is_log:
            return random.choice(self.points())
        if self.kind == "uniform":
            return random.uniform(self.low, self.high)
        value = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        return round(value) if self.kind == "integers" else value


def choice(options: Sequence[Any]) -> Space:
    """One of the options. SearchError if there are none."""
    if isinstance(options, str) or not list(options):
        raise SearchError(f"choice: {options!r} is not a list of at least one option")
    return Space("choice", options=tuple(options))


def uniform(low: float, high: float) -> Space:
    """A number from low to high."""
    return _bounded("uniform", low, high)


def log_uniform(low: float, high: float) -> Space:
    """A number from low to high, its logarithm evenly spread."""
    if low <= 0:
        raise SearchError(f"log_uniform: the lower bound {low!r} is not positive")
    return _bounded("log_uniform", low, high)


def integers(low: int, high: int, *, step: int = 1, log: bool = False) -> Space:
    """A whole number from low to high, both included."""
    if step < 1 or (log and (step != 1 or low < 1)):
        raise SearchError(f"integers: low={low}, step={step}, log={log} do not go together")
    _bounded("integers", low, high)
    return Space("integers", low=int(low), high=int(high), step=step, is_log=log)


def _bounded(kind: str, low: float, high: float) -> Space:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SearchError(f"{kind}: {low!r} to {high!r} is not a range")
    return Space(kind, low=low, high=high)


def from_space(document: Any) -> Space | None:
    """The space that a JSON form stands for; None for any other value."""
    if isinstance(document, Space):
        return document
    if not isinstance(document, dict) or _MARK not in document:
        return None
    kind = document[_MARK]
    try:
        if kind == "choice":
            return choice(document["options"])
        if kind == "integers":
            step, log = document.get("step", 1), document.get("is_log", False)
            return integers(document["low"], document["high"], step=step, log=log)
        makers = {"uniform": uniform, "log_uniform": log_uniform}
        return makers[kind](document["low"], document["high"])
    except KeyError as error:
        raise SearchError(f"a space {document!r} lacks or has an unknown {error}") from None


def find(document: Any) -> dict[str, Space]:
    """Every space in a document by a short name that is unique in it."""
    paths = dict(_walk(document, ()))
    names: dict[str, Space] = {}
    for path, space in paths.items():
        words = [part for part in path if part not in ("config", "arguments")]
        for length in range(1, len(words) + 1):
            name = ".".join(words[-length:])
            if sum(1 for other in paths if _ends_with(other, words[-length:])) == 1:
                break
        names[name] = space
    return names


def _ends_with(path: tuple[str, ...], end: list[str]) -> bool:
    words = [part for part in path if part not in ("config", "arguments")]
    return words[-len(end) :] == end


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Space]]:
    space = from_space(value)
    if space is not None:
        yield path, space
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _walk(part, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _walk(part, (*path, str(index)))


def substitute(document: Any, values: dict[str, Any]) -> Any:
    """The document with each space replaced by the value of its name in `find`."""
    by_path = dict(zip((path for path, _ in _walk(document, ())), find(document), strict=True))

    def replaced(value: Any, path: tuple[str, ...]) -> Any:
        if path in by_path:
            return values[by_path[path]]
        if isinstance(value, dict):
            return {key: replaced(part, (*path, str(key))) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [replaced(part, (*path, str(i))) for i, part in enumerate(value)]
        return value

    return replaced(document, ())


def grid(document: Any, limit: int = GRID_LIMIT) -> list[dict[str, Any]]:
    """Every point of the document's spaces. SearchError above `limit` points."""
    spaces = find(document)
    if not spaces:
        raise SearchError("the document has no search space; use choice, uniform, ...")
    values = [space.points() for space in spaces.values()]
    count = math.prod(map(len, values))
    if count > limit:
        raise SearchError(f"the grid has {count:,} points, above {limit:,}; use search='random'")
    return [dict(zip(spaces, point, strict=True)) for point in itertools.product(*values)]


def random(document: Any, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` points at random, the same for the same seed."""
    spaces = find(document)
    if not spaces:
        raise SearchError("the document has no search space; use choice, uniform, ...")
    source = random_module.Random(seed)
    return [{name: space.draw(source) for name, space in spaces.items()} for _ in range(count)]
