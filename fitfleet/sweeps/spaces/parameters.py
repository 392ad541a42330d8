"""Search spaces: one value each, to be chosen. A space travels as JSON with the key "$space"."""

from __future__ import annotations

import functools
import itertools
import math
import random as random_module
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fitfleet.errors import SearchError

MARK = "$space"
REPEAT = "$repeat"
MAX_OPTIONS = 10_000
MAX_COPIES = 1_000
MAX_NAME_LENGTH = 128
# (name of a parameter, values of it): with all of these pairs a space is a parameter.
When = tuple[tuple[str, tuple[Any, ...]], ...]
_LARGEST = 2**53  # floats tell whole numbers apart up to here


@dataclass(frozen=True)
class Space:
    """One value to be chosen. `kind` is choice, uniform, log_uniform or integers.

    Spaces with one `name` are one parameter. It is one only where, for an entry of `when`, all the
    parameters named there have one of the values listed; () is always.
    """

    kind: str
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    is_log: bool = False
    name: str | None = None
    is_mirrored: bool = False  # logarithmic, counted down from `high`
    when: tuple[When, ...] = ()

    def to_space(self) -> dict[str, Any]:
        """The JSON form; the same dict each time, so that one space stays one parameter."""
        return self._marker

    @functools.cached_property
    def _marker(self) -> dict[str, Any]:
        document: dict[str, Any] = {MARK: self.kind}
        if self.kind == "choice":
            document["options"] = [jsonable(option) for option in self.options]
        else:
            document |= {"low": self.low, "high": self.high}
        if self.kind == "integers":
            document |= {"step": self.step, "log": self.is_log}
        if self.name is not None:
            document["name"] = self.name
        if self.is_mirrored:
            document["mirrored"] = True
        if self.when:
            document["when"] = [{n: list(values) for n, values in entry} for entry in self.when]
        return document

    @property
    def is_logarithmic(self) -> bool:
        """Whether its logarithm is what is evenly spread."""
        return (self.is_log or self.kind == "log_uniform") and not self.is_mirrored

    def mirrored(self, value: Any) -> Any:
        """The value as far from the other end, for a space that is mirrored; else as it is."""
        return self.low + self.high - value if self.is_mirrored else value

    @property
    def first(self) -> Any:
        """One of its values, always the same."""
        if self.kind == "choice":
            return self.options[0]
        return int(self.low) if self.kind == "integers" else self.low

    def points(self, name: str = "") -> Sequence[Any]:
        """All values of a grid. SearchError for a space that is continuous."""
        if self.kind == "choice":
            return self.options
        if self.kind == "integers" and not self.is_log:
            return range(int(self.low), int(self.high) + 1, self.step)
        raise SearchError(
            f"{name}: {self.kind} has no grid; list values with choice, or use search='random'"
        )

    def draw(self, source: random_module.Random) -> Any:
        """One value at random."""
        if self.kind == "uniform":
            return source.uniform(self.low, self.high)
        if self.kind == "choice" or not (self.is_log or self.kind == "log_uniform"):
            return source.choice(self.points())
        value = math.exp(source.uniform(math.log(self.low), math.log(self.high)))
        value = min(max(self.mirrored(value), self.low), self.high)
        return round(value) if self.kind == "integers" else value


@dataclass(frozen=True)
class Repeat:
    """A layer, or a list of layers, to stand several times in a row. Made by `repeat`."""

    layers: Any
    count: Any

    def to_space(self) -> dict[str, Any]:
        """The JSON form; the same dict each time."""
        return self._marker

    @functools.cached_property
    def _marker(self) -> dict[str, Any]:
        return {REPEAT: self.layers, "count": self.count}


def repeat(layer: Any, count: Any) -> Repeat:
    """A layer (or a list of layers) `count` times in a row; count is a number or a space of them.

    Spaces in the layer are one parameter for all of its copies. SearchError for another count.
    """
    space = from_space(count)
    if space is None:
        numbers: Sequence[Any] = (count,)
    else:
        numbers = space.options if space.kind == "choice" else (space.low, space.high)
    for number in numbers:
        is_count = isinstance(number, int) and not isinstance(number, bool)
        if not is_count or not 0 <= number <= MAX_COPIES:
            raise SearchError(f"repeat: {number!r:.40} is not a number from 0 to {MAX_COPIES}")
    return Repeat(layer, count)


def jsonable(value: Any) -> Any:
    """An option as JSON, NumPy numbers as numbers. What has spaces inside stays as it is."""
    if isinstance(value, tuple):
        return list(value)
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def choice(options: Iterable[Any], *, name: str | None = None) -> Space:
    """One of the options. SearchError if there are none, or more than MAX_OPTIONS."""
    if isinstance(options, str | bytes | Mapping) or not hasattr(options, "__iter__"):
        raise SearchError(f"choice: {options!r:.60} is not a list of options")
    try:
        values = tuple(itertools.islice(options, MAX_OPTIONS + 1))
    except TypeError:  # an array without dimensions has __iter__ too
        raise SearchError(f"choice: {options!r:.60} is not a list of options") from None
    if not values:
        raise SearchError("choice: it has no options; give at least one")
    if len(values) > MAX_OPTIONS:
        raise SearchError(f"choice: more than {MAX_OPTIONS:,} options; use ff.integers for a range")
    return Space("choice", options=values, name=_name(name))


def uniform(low: float, high: float, *, name: str | None = None) -> Space:
    """A number from low to high. SearchError for bounds that are not a range."""
    return _bounded("uniform", low, high, name)


def log_uniform(low: float, high: float, *, name: str | None = None) -> Space:
    """A positive number from low to high, its logarithm evenly spread."""
    space = _bounded("log_uniform", low, high, name)
    if low <= 0:
        raise SearchError(f"log_uniform: the lower bound {low!r} is not positive")
    return space


def integers(
    low: int, high: int, *, step: int = 1, log: bool = False, name: str | None = None
) -> Space:
    """A whole number from low to high, both included, in steps, or its logarithm evenly spread.

    SearchError for bounds beyond 2**53, which no float tells apart.
    """
    bounds = _bounded("integers", low, high, name)
    minimum, maximum, width = bounds.low, bounds.high, _number("integers", step)
    for value in (minimum, maximum, width):
        if value != int(value) or abs(value) > _LARGEST:
            raise SearchError(f"integers: {value!r:.40} is not a whole number of at most 2**53")
    if width < 1:
        raise SearchError(f"integers: the step {step!r} is not positive")
    if not isinstance(log, bool):
        raise SearchError(f"integers: log is {log!r:.40}, neither true nor false")
    if log and (width != 1 or minimum < 1):
        raise SearchError(f"integers: with log=True low is at least 1 and step is 1, not {step}")
    return Space(
        "integers",
        low=int(minimum),
        high=int(maximum),
        step=int(width),
        is_log=log,
        name=bounds.name,
    )


def _bounded(kind: str, low: Any, high: Any, name: Any) -> Space:
    minimum, maximum = _number(kind, low), _number(kind, high)
    if not minimum < maximum:
        raise SearchError(f"{kind}: {low!r:.40} to {high!r:.40} is not a range; give low < high")
    return Space(kind, low=minimum, high=maximum, name=_name(name))


def _number(kind: str, value: Any) -> Any:
    """A finite number; those of NumPy as Python's."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # The largest float, since an integer may be beyond all of them.
    if not is_number or not abs(value) <= sys.float_info.max:
        raise SearchError(f"{kind}: {value!r:.40} is not a number")
    return value


def _name(name: Any) -> str | None:
    if name is None:
        return None
    if isinstance(name, str) and 1 <= len(name) <= MAX_NAME_LENGTH and name.isprintable():
        return name
    raise SearchError(
        f"name: {name!r:.60} is not a name of 1 to {MAX_NAME_LENGTH} printable characters"
    )


def from_space(document: Any) -> Space | None:
    """The space that a JSON form stands for; None for any other value. SearchError if it is bad."""
    if isinstance(document, Space):
        return document
    if not isinstance(document, dict) or MARK not in document:
        return None
    space = _kind_of(document)
    when, is_mirrored = _when(document.get("when", [])), document.get("mirrored") is True
    return replace(space, when=when, is_mirrored=is_mirrored) if when or is_mirrored else space


def _kind_of(document: dict[str, Any]) -> Space:
    kind, name = document[MARK], document.get("name")
    makers = {"uniform": uniform, "log_uniform": log_uniform}
    try:
        if kind == "choice":
            return choice(document["options"], name=name)
        if kind == "integers":
            step, log = document.get("step", 1), document.get("log", False)
            return integers(document["low"], document["high"], step=step, log=log, name=name)
        if isinstance(kind, str) and kind in makers:
            return makers[kind](document["low"], document["high"], name=name)
    except KeyError as error:
        raise SearchError(f"a space of kind {kind} lacks {error}") from None
    known = "choice, uniform, log_uniform, integers"
    raise SearchError(f"{kind!r:.40} is not a kind of space; known are {known}")


def _when(document: Any) -> tuple[When, ...]:
    """The conditions of a space out of its JSON form. SearchError."""
    if not isinstance(document, list) or not all(
        isinstance(entry, dict) and entry and all(isinstance(v, list) for v in entry.values())
        for entry in document
    ):
        raise SearchError(f"when: {document!r:.60} is not a list of {{parameter: [values]}}")
    return tuple(tuple((n, tuple(values)) for n, values in entry.items()) for entry in document)
